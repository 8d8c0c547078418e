// Reads one word in every cycle, as many as its image has, and is done when all have come: what a pipelined reader asks of
// the memory. `cycles` counts from the start; `error_index` is the sum of the words' lowest bytes.
`timescale 1ns / 1ns

module accelerator (
  input wire clk,
  input wire rst,
  input wire start,
  input wire [31:0] memory_bytes,
  input wire [31:0] program_address,
  output reg done,
  output wire [3:0] error,
  output reg [31:0] error_index,
  output reg [47:0] cycles,
  output wire read__valid,
  input wire read__ready,
  output wire [31:0] read__payload,
  input wire read_data__valid,
  output wire read_data__ready,
  input wire [63:0] read_data__payload,
  output wire write__valid,
  input wire write__ready,
  output wire [31:0] write__payload__address,
  output wire [63:0] write__payload__data,
  output wire [7:0] write__payload__mask
);
  reg running = 0;
  reg [31:0] asked = 0, answered = 0;
  wire [31:0] words = memory_bytes / 8;
  initial begin
    done = 0;
    error_index = 0;
    cycles = 0;
  end
  assign error = 0;
  assign read__valid = running && asked != words;
  assign read__payload = asked;
  assign read_data__ready = 1;
  assign write__valid = 0;
  assign write__payload__address = 0;
  assign write__payload__data = 0;
  assign write__payload__mask = 0;

  always @(posedge clk) begin
    if (start) begin
      running <= 1;
      done <= 0;
      asked <= 0;
      answered <= 0;
      cycles <= 0;
      error_index <= 0;
    end else if (running) begin
      cycles <= cycles + 1;
      if (read__valid) asked <= asked + 1;
      if (read_data__valid) begin
        answered <= answered + 1;
        error_index <= error_index + read_data__payload[7:0];
      end
      if (answered == words) begin
        running <= 0;
        done <= 1;
      end
    end
  end
endmodule
