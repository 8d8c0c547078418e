// The accelerator's ports, where cocotb can reach them: the outside of both buses is played in Python. Between the two, the
// write channels can be held back in orders that AXI4 allows to a slave (ARM IHI 0022, A3.3.1), within the cycle.
`timescale 1ns / 1ns

module axi_top #(
  parameter BUS_BYTES = 8
)
`ifdef VERILATOR
(input wire clk /*verilator public_flat_rd*/);
`else
();
  reg clk = 0;
  always #1 clk = !clk;
`endif
  localparam BITS = 8 * BUS_BYTES;
  reg reset /*verilator public_flat_rw*/ = 0;
  wire interrupt /*verilator public_flat_rd*/;

  wire axi__awid /*verilator public_flat_rd*/, axi__arid /*verilator public_flat_rd*/;
  wire [31:0] axi__awaddr /*verilator public_flat_rd*/, axi__araddr /*verilator public_flat_rd*/;
  wire [7:0] axi__awlen /*verilator public_flat_rd*/, axi__arlen /*verilator public_flat_rd*/;
  wire [2:0] axi__awsize /*verilator public_flat_rd*/, axi__arsize /*verilator public_flat_rd*/;
  wire [1:0] axi__awburst /*verilator public_flat_rd*/, axi__arburst /*verilator public_flat_rd*/;
  wire axi__awvalid /*verilator public_flat_rd*/, axi__arvalid /*verilator public_flat_rd*/;
  wire [BITS-1:0] axi__wdata /*verilator public_flat_rd*/;
  wire [BUS_BYTES-1:0] axi__wstrb /*verilator public_flat_rd*/;
  wire axi__wlast /*verilator public_flat_rd*/, axi__wvalid /*verilator public_flat_rd*/;
  wire axi__bready /*verilator public_flat_rd*/, axi__rready /*verilator public_flat_rd*/;
  reg axi__awready /*verilator public_flat_rw*/ = 0, axi__wready /*verilator public_flat_rw*/ = 0;
  reg axi__arready /*verilator public_flat_rw*/ = 0;
  reg axi__bid /*verilator public_flat_rw*/ = 0, axi__bvalid /*verilator public_flat_rw*/ = 0;
  reg [1:0] axi__bresp /*verilator public_flat_rw*/ = 0, axi__rresp /*verilator public_flat_rw*/ = 0;
  reg axi__rid /*verilator public_flat_rw*/ = 0, axi__rlast /*verilator public_flat_rw*/ = 0;
  reg axi__rvalid /*verilator public_flat_rw*/ = 0;
  reg [BITS-1:0] axi__rdata /*verilator public_flat_rw*/ = 0;

  // What the slave sees of the write channels. 0: all. 1: an address only while data are offered, and data not before their
  // address. 2: an address only when all its data have been taken.
  reg [1:0] order /*verilator public_flat_rw*/ = 0;
  wire awvalid, wvalid;
  reg signed [7:0] balance = 0;  // addresses less last beats that have been taken
  wire shows_address = order == 0 || (order == 1 ? wvalid : balance < 0);
  wire awready = axi__awready && shows_address;
  assign axi__awvalid = awvalid && shows_address;
  wire address_taken = awvalid && awready;
  wire shows_data = order != 1 || balance > 0 || address_taken;
  wire wready = axi__wready && shows_data;
  assign axi__wvalid = wvalid && shows_data;
  always @(posedge clk) balance <= balance + address_taken - (wvalid && wready && axi__wlast);

  // The master's side, a pair of ready and valid for each of B, R, W, AW and AR.
  wire [9:0] handshakes /*verilator public_flat_rd*/ = {
    axi__bready, axi__bvalid, axi__rready, axi__rvalid, wready, wvalid, awready, awvalid, axi__arready, axi__arvalid
  };

  reg [12:0] lite__awaddr /*verilator public_flat_rw*/ = 0, lite__araddr /*verilator public_flat_rw*/ = 0;
  reg [2:0] lite__awprot /*verilator public_flat_rw*/ = 0, lite__arprot /*verilator public_flat_rw*/ = 0;
  reg lite__awvalid /*verilator public_flat_rw*/ = 0, lite__wvalid /*verilator public_flat_rw*/ = 0;
  reg lite__arvalid /*verilator public_flat_rw*/ = 0;
  reg [31:0] lite__wdata /*verilator public_flat_rw*/ = 0;
  reg [3:0] lite__wstrb /*verilator public_flat_rw*/ = 0;
  reg lite__bready /*verilator public_flat_rw*/ = 0, lite__rready /*verilator public_flat_rw*/ = 0;
  wire lite__awready /*verilator public_flat_rd*/, lite__wready /*verilator public_flat_rd*/;
  wire lite__arready /*verilator public_flat_rd*/, lite__bvalid /*verilator public_flat_rd*/;
  wire lite__rvalid /*verilator public_flat_rd*/;
  wire [1:0] lite__bresp /*verilator public_flat_rd*/, lite__rresp /*verilator public_flat_rd*/;
  wire [31:0] lite__rdata /*verilator public_flat_rd*/;

  accelerator dut (
    .clk(clk), .rst(reset), .interrupt(interrupt),
    .axi__awid(axi__awid), .axi__awaddr(axi__awaddr), .axi__awlen(axi__awlen), .axi__awsize(axi__awsize),
    .axi__awburst(axi__awburst), .axi__awvalid(awvalid), .axi__awready(awready),
    .axi__wdata(axi__wdata), .axi__wstrb(axi__wstrb), .axi__wlast(axi__wlast), .axi__wvalid(wvalid),
    .axi__wready(wready), .axi__bid(axi__bid), .axi__bresp(axi__bresp), .axi__bvalid(axi__bvalid),
    .axi__bready(axi__bready), .axi__arid(axi__arid), .axi__araddr(axi__araddr), .axi__arlen(axi__arlen),
    .axi__arsize(axi__arsize), .axi__arburst(axi__arburst), .axi__arvalid(axi__arvalid), .axi__arready(axi__arready),
    .axi__rid(axi__rid), .axi__rdata(axi__rdata), .axi__rresp(axi__rresp), .axi__rlast(axi__rlast),
    .axi__rvalid(axi__rvalid), .axi__rready(axi__rready),
    .lite__awaddr(lite__awaddr), .lite__awprot(lite__awprot), .lite__awvalid(lite__awvalid),
    .lite__awready(lite__awready), .lite__wdata(lite__wdata), .lite__wstrb(lite__wstrb), .lite__wvalid(lite__wvalid),
    .lite__wready(lite__wready), .lite__bresp(lite__bresp), .lite__bvalid(lite__bvalid), .lite__bready(lite__bready),
    .lite__araddr(lite__araddr), .lite__arprot(lite__arprot), .lite__arvalid(lite__arvalid),
    .lite__arready(lite__arready), .lite__rdata(lite__rdata), .lite__rresp(lite__rresp), .lite__rvalid(lite__rvalid),
    .lite__rready(lite__rready)
  );
endmodule
