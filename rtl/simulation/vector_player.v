// Plays one vector per clock cycle from stimuli_INDEX.hex into a component and writes the component's outputs of every
// such cycle to responses_INDEX.hex: line k of the responses is what the outputs show while line k of the stimuli is
// applied, before the clock edge that ends the cycle.

`timescale 1ns / 1ns

module vector_player #(
  parameter INDEX = 0,
  parameter STIMULUS_BITS = 4,
  parameter RESPONSE_BITS = 4
) (
  input wire clk,
  input wire rst,
  input wire [RESPONSE_BITS-1:0] response,
  output reg [STIMULUS_BITS-1:0] stimulus,
  output reg finished
);
  integer stimuli = 0, responses = 0, count;
  reg playing = 0;
  reg [8*32-1:0] name;
  reg [STIMULUS_BITS-1:0] next;

  initial begin
    stimulus = 0;
    finished = 0;
  end

  always @(posedge clk) if (!rst && !finished) begin
    if (stimuli == 0) begin
      $sformat(name, "stimuli_%0d.hex", INDEX);
      stimuli = $fopen(name, "r");
      $sformat(name, "responses_%0d.hex", INDEX);
      responses = $fopen(name, "w");
    end
    if (playing) $fwrite(responses, "%h\n", response);
    count = $fscanf(stimuli, "%h", next);
    playing <= count == 1;
    if (count == 1) stimulus <= next;
    else begin
      $fclose(stimuli);
      $fclose(responses);
      finished <= 1;
    end
  end
endmodule
