// An accelerator between a behavioural memory and a master that plays a script over AXI4-Lite: everything that happens in
// every clock cycle of a simulation. Python writes the script, the images and, afterwards, reads what they left.
//
// A line of script.txt is an operation and three hexadecimal numbers:
//   0           end
//   1 N BYTES B load image_N.bin: the memory region is BYTES bytes at bus address B; the memory model begins afresh
//   2 L S W     latency L, seed S of the stalls, for the loads that follow; W = 1: signals are written (see SIGNALS)
//   3 F L       bursts that touch the bytes F to L of the region are refused, likewise
//   4 A D S     write D to the register at A; S = 1: the write starts a run, and the cycles are counted from it
//   5 A B       read the registers at A, A + 4 … B: lines "r address value" of results.txt
//   6 A M V     read the register at A until its bits M are V
//   7 N G       wait for the interrupt, or until cycle N of the run; G = 1: then the run is given up
//   8 N D       reset the accelerator for N cycles; D = 1: only if a run was given up
//   9 N         write the memory to memory_N.bin, and a line "e" with the counts below to results.txt
// While a run lasts, lines "p cycle" appear every now and then.
//
// The cycles of a run are counted from the handshake that writes the starting register to the first cycle with interrupt.

`timescale 1ns / 1ns

module testbench #(
  parameter BUS_BYTES = 8,
  parameter MEMORY_BYTES = 1 << 24,
  parameter REGISTER_ADDRESS_BITS = 13,
  parameter PROGRESS_BITS = 17,
  parameter PATIENCE = 1 << 20  // cycles after which a register access that has not come about ends the simulation
)
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

  localparam BITS = 8 * BUS_BYTES;

  initial finished = 0;

  // Settings of the memory model.
  reg [31:0] latency = 1, seed = 0, error_first = 32'hffffffff, error_last = 0, region_bytes = 0, base = 0;
  // The script begins with a reset. It must rise: what Icarus has not seen change since time 0 it has not computed.
  reg rst = 0, model_rst = 0, recount = 0;

  wire [0:0] awid, arid, bid, rid;
  wire [31:0] awaddr, araddr;
  wire [7:0] awlen, arlen;
  wire [2:0] awsize, arsize;
  wire [1:0] awburst, arburst, bresp, rresp;
  wire awvalid, awready, wlast, wvalid, wready, bvalid, bready, arvalid, arready, rlast, rvalid, rready;
  wire [BITS-1:0] wdata, rdata;
  wire [BUS_BYTES-1:0] wstrb;
  wire [31:0] strays, violations, unknowns;
  wire [47:0] beats_read, beats_written;

  reg [REGISTER_ADDRESS_BITS-1:0] lite_address = 0;
  reg [31:0] lite_wdata = 0;
  reg lite_awvalid = 0, lite_wvalid = 0, lite_bready = 0, lite_arvalid = 0, lite_rready = 0;
  wire lite_awready, lite_wready, lite_bvalid, lite_arready, lite_rvalid;
  wire [1:0] lite_bresp, lite_rresp;
  wire [31:0] lite_rdata;
  wire interrupt;

  accelerator dut (
    .clk(clk),
    .rst(rst),
    .interrupt(interrupt),
    .axi__awid(awid),
    .axi__awaddr(awaddr),
    .axi__awlen(awlen),
    .axi__awsize(awsize),
    .axi__awburst(awburst),
    .axi__awvalid(awvalid),
    .axi__awready(awready),
    .axi__wdata(wdata),
    .axi__wstrb(wstrb),
    .axi__wlast(wlast),
    .axi__wvalid(wvalid),
    .axi__wready(wready),
    .axi__bid(bid),
    .axi__bresp(bresp),
    .axi__bvalid(bvalid),
    .axi__bready(bready),
    .axi__arid(arid),
    .axi__araddr(araddr),
    .axi__arlen(arlen),
    .axi__arsize(arsize),
    .axi__arburst(arburst),
    .axi__arvalid(arvalid),
    .axi__arready(arready),
    .axi__rid(rid),
    .axi__rdata(rdata),
    .axi__rresp(rresp),
    .axi__rlast(rlast),
    .axi__rvalid(rvalid),
    .axi__rready(rready),
    .lite__awaddr(lite_address),
    .lite__awprot(3'b0),
    .lite__awvalid(lite_awvalid),
    .lite__awready(lite_awready),
    .lite__wdata(lite_wdata),
    .lite__wstrb(4'b1111),
    .lite__wvalid(lite_wvalid),
    .lite__wready(lite_wready),
    .lite__bresp(lite_bresp),
    .lite__bvalid(lite_bvalid),
    .lite__bready(lite_bready),
    .lite__araddr(lite_address),
    .lite__arprot(3'b0),
    .lite__arvalid(lite_arvalid),
    .lite__arready(lite_arready),
    .lite__rdata(lite_rdata),
    .lite__rresp(lite_rresp),
    .lite__rvalid(lite_rvalid),
    .lite__rready(lite_rready)
  );

  memory_model #(
    .BUS_BYTES(BUS_BYTES),
    .MEMORY_BYTES(MEMORY_BYTES)
  ) model (
    .clk(clk),
    .rst(model_rst),
    .recount(recount),
    .base(base),
    .region_bytes(region_bytes),
    .latency(latency),
    .seed(seed),
    .error_first(error_first),
    .error_last(error_last),
    .awid(awid),
    .awaddr(awaddr),
    .awlen(awlen),
    .awsize(awsize),
    .awburst(awburst),
    .awvalid(awvalid),
    .awready(awready),
    .wdata(wdata),
    .wstrb(wstrb),
    .wlast(wlast),
    .wvalid(wvalid),
    .wready(wready),
    .bid(bid),
    .bresp(bresp),
    .bvalid(bvalid),
    .bready(bready),
    .arid(arid),
    .araddr(araddr),
    .arlen(arlen),
    .arsize(arsize),
    .arburst(arburst),
    .arvalid(arvalid),
    .arready(arready),
    .rid(rid),
    .rdata(rdata),
    .rresp(rresp),
    .rlast(rlast),
    .rvalid(rvalid),
    .rready(rready),
    .strays(strays),
    .violations(violations),
    .unknowns(unknowns),
    .beats_read(beats_read),
    .beats_written(beats_written)
  );

  localparam END = 0, LOAD = 1, TIMING = 2, REFUSE = 3, WRITE = 4, READ = 5, POLL = 6, WAIT = 7, RESET = 8, SAVE = 9;
  integer script = 0, results = 0, count;
  reg [7:0] operation = 0;
  reg [47:0] a = 0, b = 0, c = 0;
  reg busy = 0;                 // with an operation that takes more than one cycle
  reg given_up = 0;
  reg [31:0] patience = 0;

  reg observed = 0;
  // The run: `clock` counts it from 1 in the cycle after the start, until the interrupt stops it.
  reg counting = 0, ended = 0;
  reg [47:0] clock = 0;
  wire addressed = !lite_awvalid || lite_awready, written = !lite_wvalid || lite_wready;
  wire starts = (lite_awvalid || lite_wvalid) && addressed && written && c[0];

  always @(posedge clk) begin
    model_rst <= 0;
    recount <= 0;
    if (starts) begin
      counting <= 1;
      ended <= 0;
      clock <= 1;
    end else if (counting && !finished) begin
      if (interrupt) begin
        counting <= 0;
        ended <= 1;
      end else clock <= clock + 1;
      if (clock[PROGRESS_BITS-1:0] == 0) begin
        $fwrite(results, "p %0h\n", clock);
        $fflush(results);
      end
    end

    if (!busy && !finished) begin
      if (script == 0) begin
        script = $fopen("script.txt", "r");
        results = $fopen("results.txt", "w");
      end
      count = $fscanf(script, "%h %h %h %h\n", operation, a, b, c);
      patience <= PATIENCE;
      case (count == 4 ? operation : END)
        END: begin
          $fclose(script);
          $fclose(results);
          finished <= 1;
        end
        LOAD: begin
          region_bytes <= b;
          base <= c;
          busy <= 1;
        end
        TIMING: begin
          latency <= a;
          seed <= b;
          observed <= c;
        end
        REFUSE: begin
          error_first <= a;
          error_last <= b;
        end
        WRITE: begin
          lite_address <= a;
          lite_wdata <= b;
          lite_awvalid <= 1;
          lite_wvalid <= 1;
          lite_bready <= 1;
          busy <= 1;
        end
        READ, POLL: begin
          lite_address <= a;
          lite_arvalid <= 1;
          lite_rready <= 1;
          busy <= 1;
        end
        WAIT: busy <= 1;
        RESET: if (!b[0] || given_up) begin
          rst <= 1;
          model_rst <= 1;
          counting <= 0;
          given_up <= 0;
          busy <= 1;
        end
        SAVE: begin
          model.save(a);
          $fwrite(results, "e %0h %0h %0h %0h %0h %0h %0h\n", ended, clock, strays, violations, unknowns, beats_read,
                  beats_written);
          $fflush(results);
        end
      endcase
    end

    if (busy) case (operation)
      LOAD: begin
        model.load(a);
        model_rst <= 1;
        recount <= 1;
        counting <= 0;
        ended <= 0;
        clock <= 0;
        busy <= 0;
      end
      WRITE: begin
        if (lite_awready) lite_awvalid <= 0;
        if (lite_wready) lite_wvalid <= 0;
        if (lite_bvalid) begin
          lite_bready <= 0;
          busy <= 0;
        end
      end
      READ, POLL: begin
        if (lite_arready) lite_arvalid <= 0;
        if (lite_rvalid) begin
          if (operation == READ) $fwrite(results, "r %0h %0h\n", lite_address, lite_rdata);
          if (operation == READ ? lite_address == b : (lite_rdata & b) == c) begin
            lite_rready <= 0;
            busy <= 0;
          end else begin
            if (operation == READ) lite_address <= lite_address + 4;
            lite_arvalid <= 1;
          end
        end
      end
      WAIT: if (ended || interrupt || clock >= a) begin
        if (!ended && !interrupt && b[0]) begin
          given_up <= 1;
          counting <= 0;
        end
        busy <= 0;
      end
      RESET: if (a <= 1) begin
        rst <= 0;
        busy <= 0;
      end else a = a - 1;
    endcase
    if (busy && (operation == WRITE || operation == READ || operation == POLL)) begin
      patience <= patience - 1;
      if (patience == 0 || lite_bvalid && lite_bresp != 0 || lite_rvalid && lite_rresp != 0) begin
        $display("testbench: the accelerator does not answer at register address %h as it must", lite_address);
        $finish;
      end
    end
  end

`ifdef SIGNALS
  // What the bus, the units' starts and ends and the output scratchpad do: a line for every cycle of an observed run.
  integer signals = 0;
  wire [31:0] araddr_in_region = araddr - base, awaddr_in_region = awaddr - base;
  always @(posedge clk) if (observed && counting && !finished) begin
    if (signals == 0) begin
      signals = $fopen("signals.txt", "w");
      $fwrite(signals, "cycle ar araddr arlen r rlast rdata aw awaddr awlen w wlast wstrb wdata b ");
      $fwrite(signals, "taken taken_load taken_convolve taken_post_process taken_store finished finished_index ");
      $fwrite(signals, "work present position output output_row output_codes\n");
    end
    $fwrite(signals, "%0h %0h %0h %0h %0h %0h %0h %0h %0h %0h %0h %0h %0h %0h %0h ", clock, arvalid && arready,
            araddr_in_region, arlen, rvalid && rready, rlast, rdata, awvalid && awready, awaddr_in_region, awlen,
            wvalid && wready, wlast, wstrb, wdata, bvalid && bready);
    $fwrite(signals, "%0h %0h %0h %0h %0h %0h %0h ", dut.front_end.sequencer.tokens.taken,
            dut.front_end.sequencer.load_queue.head_index, dut.front_end.sequencer.convolve_queue.head_index,
            dut.front_end.sequencer.post_process_queue.head_index, dut.front_end.sequencer.store_queue.head_index,
            dut.front_end.sequencer.tokens.finished, dut.front_end.sequencer.tokens.finished_index);
    $fwrite(signals, "%0h %0h %0h %0h %0h %0h\n", dut.front_end.telemetry.work, dut.front_end.telemetry.present,
            dut.front_end.telemetry.position, dut.post_processing.outputs.write,
            dut.post_processing.outputs.write_address, dut.post_processing.outputs.write_data);
  end
`endif

`ifdef TRACE
  reg [8*1024-1:0] trace_file;
  initial if ($value$plusargs("trace_file=%s", trace_file)) begin
    $dumpfile(trace_file);
    $dumpvars(0, testbench);
  end
`endif
endmodule
