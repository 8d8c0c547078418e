// Plays random bursts against `memory_model`: a line of traffic.txt for every cycle, and a line of log.txt with what the
// memory drove in that cycle. tests/rtl/simulation/test_memory_model.py plays the same lines against the machine's memory.
`timescale 1ns / 1ns

module traffic #(
  parameter BUS_BYTES = 8,
  parameter [31:0] BASE = 0,
  parameter [31:0] REGION = 4096,
  parameter [31:0] LATENCY = 1,
  parameter [31:0] SEED = 0,
  parameter [31:0] ERROR_FIRST = 32'hffffffff,
  parameter [31:0] ERROR_LAST = 0
)
`ifdef VERILATOR
(input wire clk, output reg finished);
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
  localparam BITS = 8 * BUS_BYTES;

  initial finished = 0;
  reg rst = 1, loaded = 0, ended = 0;
  integer lines = 0, log, count;

  // A line: what is offered if the channel is free, and whether read data are taken.
  reg ar_go = 0, aw_go = 0, w_go = 0, r_go = 0, rready = 0;
  reg [31:0] ar_next = 0, aw_next = 0;
  reg [7:0] ar_length = 0, aw_length = 0;
  reg [BITS-1:0] data = 0;
  reg [BUS_BYTES-1:0] strobe = 0;

  reg arvalid = 0, awvalid = 0, wvalid = 0, wlast = 0;
  reg [31:0] araddr = 0, awaddr = 0;
  reg [7:0] arlen = 0, awlen = 0;
  reg [BITS-1:0] wdata = 0;
  reg [BUS_BYTES-1:0] wstrb = 0;
  wire arready, awready, wready, rvalid, rlast, bvalid;
  wire [1:0] rresp, bresp;
  wire [BITS-1:0] rdata;
  wire [31:0] strays, violations;

  reg [4:0] reads = 0, writes = 0;  // outstanding
  reg [7:0] owed [0:15];            // lengths of the write bursts whose beats are to be sent
  reg [3:0] owed_head = 0, owed_tail = 0;
  reg [7:0] beat = 0;
  wire more = owed_head != owed_tail;
  wire w_free = !wvalid || wready;

  memory_model #(.BUS_BYTES(BUS_BYTES), .MEMORY_BYTES(1 << 16)) model (
    .clk(clk), .rst(rst), .recount(rst), .base(BASE), .region_bytes(REGION), .latency(LATENCY), .seed(SEED),
    .error_first(ERROR_FIRST), .error_last(ERROR_LAST),
    .awid(1'b0), .awaddr(awaddr), .awlen(awlen), .awsize(3'd0 + $clog2(BUS_BYTES)), .awburst(2'b1), .awvalid(awvalid),
    .awready(awready), .wdata(wdata), .wstrb(wstrb), .wlast(wlast), .wvalid(wvalid), .wready(wready), .bid(),
    .bresp(bresp), .bvalid(bvalid), .bready(1'b1), .arid(1'b0), .araddr(araddr), .arlen(arlen),
    .arsize(3'd0 + $clog2(BUS_BYTES)), .arburst(2'b1), .arvalid(arvalid), .arready(arready), .rid(), .rdata(rdata),
    .rresp(rresp), .rlast(rlast), .rvalid(rvalid), .rready(rready), .strays(strays), .violations(violations),
    .unknowns(), .beats_read(), .beats_written()
  );

  always @(posedge clk) if (ended) begin
    if (!finished) model.save(1);
    finished <= 1;
  end else begin
    if (!loaded) begin
      model.load(1);
      lines = $fopen("traffic.txt", "r");
      log = $fopen("log.txt", "w");
      loaded <= 1;
      rst <= 0;
    end else begin
      $fwrite(log, "%b%b%b%b%b %h %h %h\n", arready, awready, wready, rvalid, bvalid,
              rvalid ? {rlast, rresp[1]} : 2'b0, bvalid && bresp[1], rvalid ? rdata : {BITS{1'b0}});
      if (!arvalid || arready) begin
        arvalid <= ar_go && reads < 15;
        araddr <= ar_next;
        arlen <= ar_length;
      end
      reads <= reads + (arvalid && arready) - (rvalid && rready && rlast);
      if (!awvalid || awready) begin
        awvalid <= aw_go && writes < 14;
        awaddr <= aw_next;
        awlen <= aw_length;
      end
      writes <= writes + (awvalid && awready) - bvalid;
      if (awvalid && awready) begin
        owed[owed_tail] <= awlen;
        owed_tail <= owed_tail + 1;
      end
      if (w_free) begin
        wvalid <= w_go && more;
        wdata <= data;
        wstrb <= strobe;
        wlast <= beat == owed[owed_head];
        if (w_go && more) begin
          beat <= beat == owed[owed_head] ? 8'd0 : beat + 8'd1;
          if (beat == owed[owed_head]) owed_head <= owed_head + 1;
        end
      end
    end
    count = $fscanf(lines, "%h %h %h %h %h %h %h %h %h %h\n", ar_go, aw_go, w_go, r_go, ar_next, ar_length, aw_next,
                    aw_length, data, strobe);
    rready <= r_go;  // the model reads it, so it must not change before the clock edge is over
    if (count != 10) begin
      $fwrite(log, "%0d %0d\n", strays, violations);
      $fclose(log);
      ended <= 1;
    end
  end
endmodule
