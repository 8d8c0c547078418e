// An accelerator beside a behavioural memory: everything that happens in every clock cycle of a simulation.
//
// One run: Python writes the registers under "set by Python" and then a new number N into `run`. The testbench loads the
// memory from image_N.bin, resets the accelerator if asked to, starts it, waits for `done` or for `max_cycles`, writes the
// memory to memory_N.bin, keeps the results in registers and copies N to `run_finished`.
//
// The memory always accepts. The data of a read that is accepted in cycle t are presented in cycle t + latency, or later
// if earlier data have not been taken yet; they are the memory's content after all writes accepted before cycle t. A write
// takes effect at the clock edge that accepts it. Byte 0 of a word is its bits 7:0.

`timescale 1ns / 1ns

module testbench #(
  parameter BUS_BYTES = 8,
  parameter MEMORY_BYTES = 1 << 24,
  parameter MAX_LATENCY = 1024  // a power of two
)
`ifdef VERILATOR
(
  input wire clk  // from main.cpp
);
`else
();
  reg clk = 0;
  always #1 clk = !clk;
`endif

  localparam BITS = 8 * BUS_BYTES;
  localparam WORDS = MEMORY_BYTES / BUS_BYTES;
  localparam POINTER_BITS = $clog2(MAX_LATENCY) + 1;

  // Set by Python, stable while a run lasts.
  reg [31:0] run /*verilator public_flat_rw*/ = 0;
  reg [31:0] image_bytes /*verilator public_flat_rw*/ = 0;      // size of the memory, a multiple of BUS_BYTES
  reg [31:0] program_address /*verilator public_flat_rw*/ = 0;
  reg [31:0] latency /*verilator public_flat_rw*/ = 16;         // 1 to MAX_LATENCY
  reg [47:0] max_cycles /*verilator public_flat_rw*/ = 0;
  reg reset_first /*verilator public_flat_rw*/ = 1;

  // Read by Python once `run_finished` equals `run`.
  reg [31:0] run_finished /*verilator public_flat_rw*/ = 0;
  reg run_done /*verilator public_flat_rw*/ = 0;                // 0: max_cycles was reached
  reg [47:0] run_cycles /*verilator public_flat_rw*/ = 0;       // the accelerator's own counter
  reg [47:0] run_elapsed /*verilator public_flat_rw*/ = 0;      // clock cycles from `start` to `done`, counted here
  reg [3:0] run_error /*verilator public_flat_rw*/ = 0;
  reg [31:0] run_error_index /*verilator public_flat_rw*/ = 0;
  reg [31:0] run_stray /*verilator public_flat_rw*/ = 0;        // accesses outside of the image
  reg [31:0] run_unknown /*verilator public_flat_rw*/ = 0;      // writes with unknown bits (x), which Icarus can see

  wire rst, start, done;
  wire [3:0] error;
  wire [31:0] error_index;
  wire [47:0] cycles;
  wire read_valid, read_data_valid, read_data_ready, write_valid;
  wire [31:0] read_address, write_address;
  wire [BITS-1:0] read_data, write_data;
  wire [BUS_BYTES-1:0] write_mask;

  accelerator dut (
    .clk(clk),
    .rst(rst),
    .start(start),
    .memory_bytes(image_bytes),
    .program_address(program_address),
    .done(done),
    .error(error),
    .error_index(error_index),
    .cycles(cycles),
    .read__valid(read_valid),
    .read__ready(1'b1),
    .read__payload(read_address),
    .read_data__valid(read_data_valid),
    .read_data__ready(read_data_ready),
    .read_data__payload(read_data),
    .write__valid(write_valid),
    .write__ready(1'b1),
    .write__payload__address(write_address),
    .write__payload__data(write_data),
    .write__payload__mask(write_mask)
  );

  // The memory, and the queue of read data on their way.
  reg [BITS-1:0] memory [0:WORDS-1];
  reg [BITS-1:0] queue_data [0:MAX_LATENCY-1];
  reg [31:0] queue_due [0:MAX_LATENCY-1];
  reg [POINTER_BITS-1:0] queue_head = 0, queue_tail = 0;
  reg [31:0] now = 0;

  wire [31:0] image_words = image_bytes / BUS_BYTES;
  wire [POINTER_BITS-2:0] head = queue_head[POINTER_BITS-2:0];
  wire [POINTER_BITS-2:0] tail = queue_tail[POINTER_BITS-2:0];
  wire [POINTER_BITS-1:0] outstanding = queue_tail - queue_head;
  wire [31:0] age = now - queue_due[head];  // bit 31: not due yet
  assign read_data_valid = queue_head != queue_tail && !age[31];
  assign read_data = queue_data[head];

  wire [BITS-1:0] write_bits;
  genvar lane;
  generate
    for (lane = 0; lane < BUS_BYTES; lane = lane + 1) begin : lanes
      assign write_bits[8*lane +: 8] = {8{write_mask[lane]}};
    end
  endgenerate

  localparam IDLE = 0, RESET = 1, START = 2, RUN = 3;
  reg [1:0] state = IDLE;
  reg [47:0] elapsed = 0;
  reg [8*32-1:0] name;
  integer file, count, word;

  assign rst = state == RESET;
  assign start = state == START;

  always @(posedge clk) begin
    now <= now + 1;
    if (read_valid) begin
      queue_data[tail] <= read_address < image_words ? memory[read_address] : {BITS{1'b0}};
      queue_due[tail] <= now + latency;
      queue_tail <= queue_tail + 1;
      if (read_address >= image_words) run_stray <= run_stray + 1;
      if (outstanding == MAX_LATENCY && !(read_data_valid && read_data_ready)) begin
        $display("testbench: more than %0d reads are outstanding", MAX_LATENCY);
        $finish;
      end
    end
    if (read_data_valid && read_data_ready) queue_head <= queue_head + 1;
    if (write_valid) begin
      if (^{write_address, write_mask, write_data & write_bits} === 1'bx) run_unknown <= run_unknown + 1;
      // Blocking, after the read above: the memory is touched nowhere else.
      if (write_address < image_words)
        memory[write_address] = memory[write_address] & ~write_bits | write_data & write_bits;
      else run_stray <= run_stray + 1;
    end
    case (state)
      IDLE: if (run != run_finished) begin
        $sformat(name, "image_%0d.bin", run);
        file = $fopen(name, "rb");
        count = $fread(memory, file, 0, image_words);
        $fclose(file);
        if (count != image_bytes) begin
          $display("testbench: image_%0d.bin has not %0d bytes", run, image_bytes);
          $finish;
        end
        queue_head <= 0;
        queue_tail <= 0;
        run_stray <= 0;
        run_unknown <= 0;
        elapsed <= 0;
        state <= reset_first ? RESET : START;
      end
      RESET: state <= START;
      START: state <= RUN;
      RUN: begin
        elapsed <= elapsed + 1;
        if (done || elapsed >= max_cycles) begin
          run_done <= done;
          run_cycles <= cycles;
          run_elapsed <= elapsed;
          run_error <= error;
          run_error_index <= error_index;
          $sformat(name, "memory_%0d.bin", run);
          file = $fopen(name, "wb");
          for (word = 0; word < image_words; word = word + 1) $fwrite(file, "%u", memory[word]);
          $fclose(file);
          run_finished <= run;
          state <= IDLE;
        end
      end
    endcase
  end

`ifdef TRACE
  reg [8*1024-1:0] trace_file;
  initial if ($value$plusargs("trace_file=%s", trace_file)) begin
    $dumpfile(trace_file);
    $dumpvars(0, testbench);
  end
`endif
endmodule
