// The smallest thing with the accelerator's ports. Its program is one word of 64 bits: bits 31:0 the address of an operand,
// 63:32 an addend. It writes operand + addend over the operand, byte lanes 0 to 3 only, after `delay` idle cycles, where the
// operand's bits 63:32 are the delay. An operand address of ffffffff is error 3 at index 7; fffffffe never ends. A soft reset
// ends an idle or endless run 10 cycles later. Lane counter k of lane c reads as 256 c + k, counter 1 as 2^32 + 5.
`timescale 1ns / 1ns

module accelerator #(
  parameter BUS_BYTES = 8
) (
  input wire clk,
  input wire rst,
  output wire interrupt,
  output wire axi__awid,
  output reg [31:0] axi__awaddr,
  output wire [7:0] axi__awlen,
  output wire [2:0] axi__awsize,
  output wire [1:0] axi__awburst,
  output reg axi__awvalid,
  input wire axi__awready,
  output reg [8*BUS_BYTES-1:0] axi__wdata,
  output wire [BUS_BYTES-1:0] axi__wstrb,
  output wire axi__wlast,
  output reg axi__wvalid,
  input wire axi__wready,
  input wire axi__bid,
  input wire [1:0] axi__bresp,
  input wire axi__bvalid,
  output wire axi__bready,
  output wire axi__arid,
  output reg [31:0] axi__araddr,
  output wire [7:0] axi__arlen,
  output wire [2:0] axi__arsize,
  output wire [1:0] axi__arburst,
  output reg axi__arvalid,
  input wire axi__arready,
  input wire axi__rid,
  input wire [8*BUS_BYTES-1:0] axi__rdata,
  input wire [1:0] axi__rresp,
  input wire axi__rlast,
  input wire axi__rvalid,
  output wire axi__rready,
  input wire [12:0] lite__awaddr,
  input wire [2:0] lite__awprot,
  input wire lite__awvalid,
  output wire lite__awready,
  input wire [31:0] lite__wdata,
  input wire [3:0] lite__wstrb,
  input wire lite__wvalid,
  output wire lite__wready,
  output wire [1:0] lite__bresp,
  output reg lite__bvalid,
  input wire lite__bready,
  input wire [12:0] lite__araddr,
  input wire [2:0] lite__arprot,
  input wire lite__arvalid,
  output wire lite__arready,
  output reg [31:0] lite__rdata,
  output wire [1:0] lite__rresp,
  output reg lite__rvalid,
  input wire lite__rready
);
  localparam IDLE = 0, FETCH = 1, OPERAND = 2, DELAY = 3, STORE = 4, RESPONSE = 5, DONE = 6;
  reg [2:0] state;
  reg [31:0] addend, operand, delay, error, error_index, resetting;
  reg [31:0] registers [0:15];
  reg [47:0] cycles;
  wire start = lite__awvalid && lite__awready && lite__awaddr == 0 && lite__wdata[0];

  assign interrupt = state == DONE && registers[2][0];
  assign {axi__awid, axi__arid} = 0;
  assign axi__awlen = 0;
  assign axi__arlen = 0;
  assign axi__awsize = $clog2(BUS_BYTES);
  assign axi__arsize = $clog2(BUS_BYTES);
  assign axi__awburst = 1;
  assign axi__arburst = 1;
  assign axi__wstrb = 15;
  assign axi__wlast = 1;
  assign axi__bready = 1;
  assign axi__rready = 1;
  assign lite__awready = lite__awvalid && lite__wvalid && !lite__bvalid;
  assign lite__wready = lite__awready;
  assign lite__arready = !lite__rvalid;
  assign lite__bresp = 0;
  assign lite__rresp = 0;

  always @(posedge clk) begin
    if (lite__bready) lite__bvalid <= 0;
    if (lite__awready) begin
      lite__bvalid <= 1;
      registers[lite__awaddr[5:2]] <= lite__wdata;
      if (lite__awaddr == 0 && lite__wdata[1]) resetting <= 10;
      if (lite__awaddr == 0 && lite__wdata[2]) state <= IDLE;
    end
    if (lite__rready) lite__rvalid <= 0;
    if (lite__arvalid && lite__arready) begin
      lite__rvalid <= 1;
      case (lite__araddr)
        'h04: lite__rdata <= {resetting != 0, error != 0, state == DONE, state != IDLE && state != DONE};
        'h0c: lite__rdata <= error;
        'h10: lite__rdata <= error_index;
        'h24: lite__rdata <= 32'hc0ffee;
        'h80: lite__rdata <= cycles[31:0];
        'h84: lite__rdata <= cycles[47:32];
        'h88: lite__rdata <= 5;
        'h8c: lite__rdata <= 1;
        default: lite__rdata <= lite__araddr < 64 ? registers[lite__araddr[5:2]] :
                                lite__araddr[12] ? {16'b0, lite__araddr[11:4], 6'b0, lite__araddr[3:2]} : 0;
      endcase
    end

    if (state != IDLE && state != DONE) cycles <= cycles + 1;
    if (axi__arready) axi__arvalid <= 0;
    if (axi__awready) axi__awvalid <= 0;
    if (axi__wready) axi__wvalid <= 0;
    case (state)
      IDLE: if (start) begin
        error <= 0;
        error_index <= 0;
        cycles <= 1;
        axi__arvalid <= 1;
        axi__araddr <= registers[7] + registers[5];
        state <= FETCH;
      end
      FETCH: if (axi__rvalid) begin
        addend <= axi__rdata[63:32];
        if (axi__rdata[31:0] == 32'hffffffff || axi__rresp != 0) begin
          error <= axi__rresp != 0 ? 6 : 3;
          error_index <= 7;
          state <= DONE;
        end else if (axi__rdata[31:0] != 32'hfffffffe) begin
          axi__arvalid <= 1;
          axi__araddr <= registers[7] + axi__rdata[31:0];
          state <= OPERAND;
        end
      end
      OPERAND: if (axi__rvalid) begin
        operand <= axi__rdata[31:0];
        delay <= axi__rdata[63:32];
        state <= DELAY;
      end
      DELAY: if (delay == 0) begin
        axi__awvalid <= 1;
        axi__awaddr <= axi__araddr;
        state <= STORE;
      end else delay <= delay - 1;
      STORE: if (axi__awready) begin
        axi__wvalid <= 1;
        axi__wdata <= {{(8*BUS_BYTES-32){1'b1}}, operand + addend};
        state <= RESPONSE;
      end
      RESPONSE: if (axi__bvalid) state <= DONE;
    endcase
    if (resetting != 0) begin
      resetting <= resetting - 1;
      if (resetting == 1) state <= IDLE;
    end
    if (rst) begin
      state <= IDLE;
      registers[2] <= 0;
      {axi__arvalid, axi__awvalid, axi__wvalid, lite__bvalid, lite__rvalid} <= 0;
      {error, error_index, cycles, resetting} <= 0;
    end
  end
endmodule
