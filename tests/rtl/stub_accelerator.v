// The smallest thing with the accelerator's ports. Its program is one word: bits 31:0 the address of an operand (in words),
// 63:32 an addend. It writes operand + addend over the operand, byte lanes 0 to 3 only, after `delay` idle cycles, where the
// operand's bits 63:32 are the delay. An operand address of ffffffff is error 3 at index 7; fffffffe never ends.
`timescale 1ns / 1ns

module accelerator #(
  parameter BUS_BYTES = 8
) (
  input wire clk,
  input wire rst,
  input wire start,
  input wire [31:0] memory_bytes,
  input wire [31:0] program_address,
  output reg done,
  output reg [3:0] error,
  output reg [31:0] error_index,
  output reg [47:0] cycles,
  output reg read__valid,
  input wire read__ready,
  output reg [31:0] read__payload,
  input wire read_data__valid,
  output wire read_data__ready,
  input wire [8*BUS_BYTES-1:0] read_data__payload,
  output reg write__valid,
  input wire write__ready,
  output reg [31:0] write__payload__address,
  output reg [8*BUS_BYTES-1:0] write__payload__data,
  output reg [BUS_BYTES-1:0] write__payload__mask
);
  localparam IDLE = 0, FETCH = 1, OPERAND = 2, DELAY = 3, STORE = 4;
  reg [2:0] state = IDLE;
  reg [31:0] addend = 0, operand = 0, delay = 0;
  initial begin
    done = 0;
    error = 0;
    error_index = 0;
    cycles = 0;
    read__valid = 0;
    write__valid = 0;
    read__payload = 0;
    write__payload__address = 0;
    write__payload__data = 0;
    write__payload__mask = 0;
  end
  assign read_data__ready = 1;

  always @(posedge clk) begin
    read__valid <= 0;
    write__valid <= 0;
    if (state != IDLE) cycles <= cycles + 1;
    case (state)
      IDLE: if (start) begin
        done <= 0;
        error <= 0;
        error_index <= 0;
        cycles <= 0;
        read__valid <= 1;
        read__payload <= program_address / BUS_BYTES;
        state <= FETCH;
      end
      FETCH: if (read_data__valid) begin
        addend <= read_data__payload[63:32];
        if (read_data__payload[31:0] == 32'hffffffff) begin
          error <= 3;
          error_index <= 7;
          done <= 1;
          state <= IDLE;
        end else if (read_data__payload[31:0] != 32'hfffffffe) begin
          read__valid <= 1;
          read__payload <= read_data__payload[31:0];
          state <= OPERAND;
        end
      end
      OPERAND: if (read_data__valid) begin
        operand <= read_data__payload[31:0];
        delay <= read_data__payload[63:32];
        state <= DELAY;
      end
      DELAY: if (delay == 0) begin
        write__valid <= 1;
        write__payload__address <= read__payload;
        write__payload__data <= {{(8*BUS_BYTES-32){1'b1}}, operand + addend};
        write__payload__mask <= 15;
        state <= STORE;
      end else delay <= delay - 1;
      STORE: begin
        done <= 1;
        state <= IDLE;
      end
    endcase
    if (rst) begin
      state <= IDLE;
      done <= 0;
    end
  end
endmodule
