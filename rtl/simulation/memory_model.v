// A behavioural memory behind an AXI4 bus: latency, bursts in order, stalls, refused addresses; emulator/machine/external.py is
// its twin. Byte 0 of a word is its bits 7:0.
//
// A read burst whose address is taken in cycle t gives its first beat in cycle t + latency or directly after the burst before
// it, whichever is later, then a beat a cycle; a write burst is answered `latency` cycles after its last beat. A read beat
// shows the memory in the cycle in which it is taken, before that cycle's write. A burst that leaves the region or touches
// the refused bytes is answered with SLVERR: what it reads is delivered (0 outside), what it writes is dropped.
//
// `stall` is a Galois register that steps every cycle from the first read address of a run on; seed 0 never stalls.

`timescale 1ns / 1ns

module memory_model #(
  parameter BUS_BYTES = 8,
  parameter MEMORY_BYTES = 1 << 24,
  parameter ID_BITS = 1
) (
  input wire clk,
  input wire rst,
  input wire recount,  // the counts below begin at 0
  // Stable while a run lasts. A burst is refused if it touches the bytes error_first to error_last of the region.
  input wire [31:0] base,
  input wire [31:0] region_bytes,
  input wire [31:0] latency,
  input wire [31:0] seed,
  input wire [31:0] error_first,
  input wire [31:0] error_last,

  input wire [ID_BITS-1:0] awid,
  input wire [31:0] awaddr,
  input wire [7:0] awlen,
  input wire [2:0] awsize,
  input wire [1:0] awburst,
  input wire awvalid,
  output wire awready,
  input wire [8*BUS_BYTES-1:0] wdata,
  input wire [BUS_BYTES-1:0] wstrb,
  input wire wlast,
  input wire wvalid,
  output wire wready,
  output wire [ID_BITS-1:0] bid,
  output wire [1:0] bresp,
  output wire bvalid,
  input wire bready,
  input wire [ID_BITS-1:0] arid,
  input wire [31:0] araddr,
  input wire [7:0] arlen,
  input wire [2:0] arsize,
  input wire [1:0] arburst,
  input wire arvalid,
  output wire arready,
  output wire [ID_BITS-1:0] rid,
  output wire [8*BUS_BYTES-1:0] rdata,
  output wire [1:0] rresp,
  output wire rlast,
  output wire rvalid,
  input wire rready,

  output reg [31:0] strays,      // bursts that left the region
  output reg [31:0] violations,  // of the protocol
  output reg [31:0] unknowns,    // cycles with unknown bits (x), which Icarus can see
  output reg [47:0] beats_read,
  output reg [47:0] beats_written
);
  localparam BITS = 8 * BUS_BYTES;
  localparam SIZE = $clog2(BUS_BYTES);
  localparam WORDS = MEMORY_BYTES / BUS_BYTES;
  localparam WORD_BITS = $clog2(WORDS);
  localparam [31:0] STALL_MASK = 32'h80200003;

  reg [BITS-1:0] memory [0:WORDS-1];
  reg [31:0] clock = 0, stall = 0;
  reg running = 0;

  // Rings of 16 bursts: read bursts, write bursts whose last beat is to come, responses.
  reg [31:0] read_address [0:15], read_due [0:15], response_due [0:15], write_address [0:15];
  reg [7:0] read_length [0:15], write_length [0:15];
  reg read_error [0:15], write_error [0:15], response_error [0:15];
  reg [3:0] read_head = 0, write_head = 0, response_head = 0;
  reg [4:0] read_count = 0, write_count = 0, response_count = 0;
  reg [7:0] read_beat = 0, write_beat = 0;
  reg r_held = 0, b_held = 0;

  integer place;
  initial for (place = 0; place < 16; place = place + 1) begin
    read_due[place] = 0;
    read_address[place] = 0;
    read_length[place] = 0;
    read_error[place] = 0;
    write_address[place] = 0;
    write_length[place] = 0;
    write_error[place] = 0;
    response_due[place] = 0;
    response_error[place] = 0;
  end

  // Last byte of a burst, from the region's first on; an address below the region lies beyond its end.
  wire [31:0] ar_offset = araddr - base, aw_offset = awaddr - base;
  wire [32:0] ar_last = {1'b0, ar_offset} + {arlen, {SIZE{1'b1}}};
  wire [32:0] aw_last = {1'b0, aw_offset} + {awlen, {SIZE{1'b1}}};
  wire ar_stray = ar_last >= {1'b0, region_bytes};
  wire aw_stray = aw_last >= {1'b0, region_bytes};
  wire ar_refused = ar_stray || (ar_offset <= error_last && ar_last >= {1'b0, error_first});
  wire aw_refused = aw_stray || (aw_offset <= error_last && aw_last >= {1'b0, error_first});

  assign arready = !(stall[0] && stall[7]);
  assign awready = !(stall[5] && stall[17]);
  assign wready = write_count != 0 && !(stall[9] && stall[20]);  // data follow their address

  wire [31:0] read_age = clock - read_due[read_head];  // bit 31: not due yet
  wire [31:0] read_offset = read_address[read_head] + {read_beat, {SIZE{1'b0}}};
  assign rid = 0;
  assign rvalid = read_count != 0 && !read_age[31] && (r_held || !(stall[3] && stall[11]));
  assign rdata = rvalid && read_offset < region_bytes ? memory[read_offset[SIZE +: WORD_BITS]] : {BITS{1'b0}};
  assign rresp = {read_error[read_head], 1'b0};
  assign rlast = read_beat == read_length[read_head];

  wire [31:0] response_age = clock - response_due[response_head];
  assign bid = 0;
  assign bvalid = response_count != 0 && !response_age[31] && (b_held || !(stall[2] && stall[13]));
  assign bresp = {response_error[response_head], 1'b0};

  wire ar_taken = arvalid && arready, aw_taken = awvalid && awready, w_taken = wvalid && wready;
  wire r_ended = rvalid && rready && rlast, w_ended = w_taken && wlast, b_ended = bvalid && bready;
  wire [3:0] read_tail = read_head + read_count[3:0], write_tail = write_head + write_count[3:0];
  wire [3:0] response_tail = response_head + response_count[3:0];

  wire [BITS-1:0] strobe_bits;
  genvar lane;
  generate
    for (lane = 0; lane < BUS_BYTES; lane = lane + 1) begin : lanes
      assign strobe_bits[8*lane +: 8] = {8{wstrb[lane]}};
    end
  endgenerate
  wire [31:0] write_offset = write_address[write_head] + {write_beat, {SIZE{1'b0}}};
  wire [WORD_BITS-1:0] write_word = write_offset[SIZE +: WORD_BITS];

  // A valid that was not accepted stays, with everything that it goes with.
  reg ar_waits = 0, aw_waits = 0, w_waits = 0;
  reg [39:0] ar_shown, aw_shown;
  reg [BITS+BUS_BYTES:0] w_shown;
  // A burst has whole, aligned words, the bus's width and increasing addresses, and stays within 4 KiB.
  wire ar_wrong = arburst != 1 || arsize != SIZE || araddr[SIZE-1:0] != 0 || araddr[11:SIZE] + {4'b0, arlen} >> (12 - SIZE) != 0;
  wire aw_wrong = awburst != 1 || awsize != SIZE || awaddr[SIZE-1:0] != 0 || awaddr[11:SIZE] + {4'b0, awlen} >> (12 - SIZE) != 0;
  wire broken =
    ar_taken && (ar_wrong || (read_count == 16 && !r_ended)) ||
    aw_taken && (aw_wrong || (write_count == 16 && !w_ended)) ||
    w_taken && wlast != (write_beat == write_length[write_head]) ||
    ar_waits && (!arvalid || ar_shown != {araddr, arlen}) ||
    aw_waits && (!awvalid || aw_shown != {awaddr, awlen}) ||
    w_waits && (!wvalid || w_shown != {wlast, wstrb, wdata});

  always @(posedge clk) begin
    if (running || arvalid) begin
      running <= 1;
      clock <= clock + 1;
      stall <= {1'b0, stall[31:1]} ^ (stall[0] ? STALL_MASK : 32'b0);
    end
    if (ar_taken) begin
      read_address[read_tail] <= ar_offset;
      read_length[read_tail] <= arlen;
      read_due[read_tail] <= clock + latency;
      read_error[read_tail] <= ar_refused;
      if (ar_stray) strays <= strays + 1;
    end
    r_held <= rvalid && !rready;
    if (rvalid && rready) begin
      read_beat <= rlast ? 8'd0 : read_beat + 8'd1;
      beats_read <= beats_read + 1;
    end
    if (r_ended) read_head <= read_head + 1;
    if (ar_taken != r_ended) read_count <= ar_taken ? read_count + 5'd1 : read_count - 5'd1;
    if (aw_taken) begin
      write_address[write_tail] <= aw_offset;
      write_length[write_tail] <= awlen;
      write_error[write_tail] <= aw_refused;
      if (aw_stray) strays <= strays + 1;
    end
    if (w_taken && write_count != 0) begin
      if (!write_error[write_head]) memory[write_word] <= memory[write_word] & ~strobe_bits | wdata & strobe_bits;
      write_beat <= wlast ? 8'd0 : write_beat + 8'd1;
      beats_written <= beats_written + 1;
      if (wlast) begin
        write_head <= write_head + 1;
        response_due[response_tail] <= clock + latency;
        response_error[response_tail] <= write_error[write_head];
      end
    end
    if (aw_taken != (w_ended && write_count != 0)) write_count <= aw_taken ? write_count + 5'd1 : write_count - 5'd1;
    b_held <= bvalid && !bready;
    if (b_ended) response_head <= response_head + 1;
    if (b_ended != (w_ended && write_count != 0))
      response_count <= b_ended ? response_count - 5'd1 : response_count + 5'd1;
    ar_waits <= arvalid && !arready;
    aw_waits <= awvalid && !awready;
    w_waits <= wvalid && !wready;
    if (stall != 0) begin  // without stalls nothing ever waits
      ar_shown <= {araddr, arlen};
      aw_shown <= {awaddr, awlen};
      w_shown <= {wlast, wstrb, wdata};
    end
    if (broken) violations <= violations + 1;
`ifndef VERILATOR
    if (^{arvalid, awvalid, wvalid, rready, bready} === 1'bx || arvalid && ^{araddr, arlen} === 1'bx ||
        awvalid && ^{awaddr, awlen} === 1'bx || wvalid && ^{wlast, wstrb, wdata & strobe_bits} === 1'bx)
      unknowns <= unknowns + 1;
`endif
    if (rst) begin
      running <= 0;
      clock <= 0;
      stall <= seed;
      {read_head, write_head, response_head} <= 0;
      {read_count, write_count, response_count} <= 0;
      {read_beat, write_beat} <= 0;
      {r_held, b_held, ar_waits, aw_waits, w_waits} <= 0;
    end
    if (recount) begin
      strays <= 0;
      violations <= 0;
      unknowns <= 0;
      beats_read <= 0;
      beats_written <= 0;
    end
  end

  // Image files hold the bytes of each word in reverse order, as $fread wants them; saved files hold them in order.
  reg [8*32-1:0] name;
  integer file, count, word;

  task load(input [31:0] number);
    begin
      $sformat(name, "image_%0d.bin", number);
      file = $fopen(name, "rb");
      count = $fread(memory, file, 0, region_bytes / BUS_BYTES);
      $fclose(file);
      if (count != region_bytes) begin
        $display("memory model: %0s has not %0d bytes", name, region_bytes);
        $finish;
      end
    end
  endtask

  task save(input [31:0] number);
    begin
      $sformat(name, "memory_%0d.bin", number);
      file = $fopen(name, "wb");
      for (word = 0; word < region_bytes / BUS_BYTES; word = word + 1) $fwrite(file, "%u", memory[word]);
      $fclose(file);
    end
  endtask
endmodule
