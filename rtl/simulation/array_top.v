// The clock and the end of an array that is fed by itself: `fed_array` has new inputs every cycle. A line of cycles.txt
// says how many cycles to play; the exclusive or of all outputs keeps them all in use.

`timescale 1ns / 1ns

module array_top
`ifdef VERILATOR
(
  input wire clk,  // from main.cpp
  output reg finished
);
`else
();
  reg clk = 0;
  always #1 clk = !clk;
  reg finished;
  always @(posedge finished) begin
    $display("finished");
    $finish;
  end
`endif
  initial finished = 0;
  reg [31:0] folded /*verilator public_flat_rd*/ = 0;
  reg [63:0] cycles = 0, clock = 0;
  wire [31:0] outputs;
  integer file, count;

  fed_array fed (.clk(clk), .rst(clock == 0), .outputs(outputs));

  always @(posedge clk) begin
    if (clock == 0) begin
      file = $fopen("cycles.txt", "r");
      count = $fscanf(file, "%d", cycles);
      $fclose(file);
    end
    clock <= clock + 1;
    folded <= folded ^ outputs;
    if (clock == cycles) finished <= 1;
  end
endmodule
