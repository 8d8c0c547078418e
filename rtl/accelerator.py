"""Accelerator: the front end, its four units, and the AXI4 master that they share."""

from functools import cache

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from emulator.config import AcceleratorConfig
from emulator.registers import REGISTER_ADDRESS_BITS

from .array.compute import Compute
from .bus.axi import AXI4, INCREMENTING, AXI4Lite
from .bus.read_arbiter import ReadArbiter
from .control import parameter_bytes
from .front_end.front_end import FrontEnd
from .post_processing.post_processing import PostProcessing
from .skew import skew
from .transfer.load_unit import LoadUnit
from .transfer.store_unit import StoreUnit
from .verilog.hierarchy import TOP, incomplete, write_verilog
from .verilog.kept import kept


def accelerator_signature(config: AcceleratorConfig) -> wiring.Signature:
    """The ports of `Accelerator`, but for clock and reset."""
    return wiring.Signature(
        {
            "axi": Out(AXI4(8 * config.bus_bytes)),
            "lite": In(AXI4Lite(REGISTER_ADDRESS_BITS)),
            "interrupt": Out(1),
        }
    )


class Accelerator(wiring.Component):
    """Runs programs out of a region of external memory.

    Members
    -------
    axi : master of the memory; one read and one write channel, identifiers 0, bursts of whole words
    lite : slave of the registers in `emulator.registers`
    interrupt : a run has ended
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.compute, self.post_processing = Compute(config), PostProcessing(config)
        super().__init__(accelerator_signature(config))

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.front_end = front = FrontEnd(config)
        m.submodules.arbiter = arbiter = ReadArbiter()
        m.submodules.load = load = LoadUnit(config)
        m.submodules.compute = compute = self.compute
        m.submodules.post_processing = post_processing = self.post_processing
        m.submodules.store = store = StoreUnit(config)
        wiring.connect(m, wiring.flipped(self.lite), front.lite)
        wiring.connect(m, front.load, load.port)
        wiring.connect(m, front.convolve, compute.port)
        wiring.connect(m, front.post_process, post_processing.port)
        wiring.connect(m, front.store, store.port)
        m.d.comb += [
            self.interrupt.eq(front.interrupt),
            front.read.eq(self.axi.rvalid & self.axi.rready),
            front.written.eq(self.axi.wvalid & self.axi.wready),
            front.position.eq(compute.positions),
            compute.read.eq(post_processing.accumulator_read),
            compute.read_address.eq(post_processing.accumulator_address),
            post_processing.bank_reads.eq(compute.bank_reads),
        ]
        for c in range(config.columns):
            m.d.comb += [
                *(to.eq(total) for to, total in zip(post_processing.sums[c], compute.sums[c], strict=True)),
                post_processing.overflowed[c].eq(compute.overflowed[c]),
                front.lane_counters[c].eq(post_processing.counts[c]),
            ]
        self._reads(m, front, arbiter, load)
        self._writes(m, front, store, post_processing)
        self._rows(m, load, compute, post_processing)
        return m

    def _reads(self, m: Module, front: FrontEnd, arbiter: ReadArbiter, load: LoadUnit) -> None:
        """The read channel, shared by the fetch and the load unit."""
        axi = self.axi
        m.d.comb += [
            arbiter.halts.eq(front.halts),
            arbiter.clear.eq(front.clear),
            arbiter.memory_base.eq(front.memory_base),
            arbiter.fetch_request.eq(front.request),
            arbiter.fetch_address.eq(front.address),
            arbiter.fetch_length.eq(front.length),
            front.grant.eq(arbiter.fetch_grant),
            front.valid.eq(arbiter.fetch_valid),
            front.data.eq(axi.rdata),
            front.refused.eq(axi.rresp.any()),
            load.memory_bytes.eq(front.memory_bytes),
            arbiter.load_request.eq(load.request),
            arbiter.load_address.eq(load.request_address),
            arbiter.load_length.eq(load.request_length),
            load.grant.eq(arbiter.load_grant),
            load.rvalid.eq(arbiter.load_valid),
            arbiter.load_ready.eq(load.rready),
            load.rdata.eq(axi.rdata),
            load.rresp.eq(axi.rresp),
            load.rlast.eq(axi.rlast),
            axi.araddr.eq(arbiter.araddr),
            axi.arlen.eq(arbiter.arlen),
            axi.arsize.eq(exact_log2(self.config.bus_bytes)),
            axi.arburst.eq(INCREMENTING),
            axi.arvalid.eq(arbiter.arvalid),
            arbiter.arready.eq(axi.arready),
            arbiter.rvalid.eq(axi.rvalid),
            arbiter.rlast.eq(axi.rlast),
            axi.rready.eq(arbiter.rready),
        ]

    def _writes(self, m: Module, front: FrontEnd, store: StoreUnit, post_processing: PostProcessing) -> None:
        """The write channel and the scratchpad behind it."""
        axi = self.axi
        m.d.comb += [
            store.memory_base.eq(front.memory_base),
            store.memory_bytes.eq(front.memory_bytes),
            post_processing.output_read.eq(store.output_read),
            post_processing.output_address.eq(store.output_address),
            store.output_data.eq(post_processing.output_data),
            axi.awaddr.eq(store.awaddr),
            axi.awlen.eq(store.awlen),
            axi.awsize.eq(exact_log2(self.config.bus_bytes)),
            axi.awburst.eq(INCREMENTING),
            axi.awvalid.eq(store.awvalid),
            store.awready.eq(axi.awready),
            axi.wdata.eq(store.wdata),
            axi.wstrb.eq(store.wstrb),
            axi.wlast.eq(store.wlast),
            axi.wvalid.eq(store.wvalid),
            store.wready.eq(axi.wready),
            store.bvalid.eq(axi.bvalid),
            store.bresp.eq(axi.bresp),
            axi.bready.eq(1),
        ]

    def _rows(self, m: Module, load: LoadUnit, compute: Compute, post_processing: PostProcessing) -> None:
        """LOAD's rows: scratchpads take them at once, lane c takes its byte c cycles after lane 0."""
        m.d.comb += [
            compute.write_activation.eq(load.write_activation),
            compute.write_weight.eq(load.write_weight),
            compute.write_address.eq(load.write_address),
            compute.write_data.eq(load.write_data),
            post_processing.write_operand.eq(load.write_operand),
            post_processing.write_address.eq(load.write_address),
            post_processing.write_data.eq(load.write_data),
        ]
        columns = self.config.columns
        codes = skew(m, [load.write_data.word_select(c, 8) for c in range(columns)], "lane_byte")
        parameters = parameter_bytes(load.write_parameter, load.write_address[:4])
        taps, address_bits = self.config.depthwise_taps, 8
        if taps:
            address_bits = max(address_bits, len(post_processing.depthwise_writes[0].address))
        enables = Cat(load.write_table, *([load.write_depthwise] if taps else []))
        control = Cat(enables, parameters, load.write_address[:address_bits])
        for c in range(columns):
            byte, address = codes[c], control[len(enables) + len(parameters) :]
            for write in (compute.parameter_writes[c], post_processing.parameter_writes[c]):
                m.d.comb += [
                    write.bytes.eq(control[len(enables) :]),
                    write.entry.eq(address[4:8]),
                    write.data.eq(byte),
                ]
            writes = [post_processing.table_writes[c], *([post_processing.depthwise_writes[c]] if taps else [])]
            for enable, write in zip(control, writes, strict=False):
                m.d.comb += [write.write.eq(enable), write.address.eq(address), write.data.eq(byte)]
            if c + 1 < columns:
                delayed = Signal(len(control), name=f"lane_control_{c + 1}")
                m.d.sync += delayed.eq(control)
                control = delayed


@cache
def accelerator_verilog(config: AcceleratorConfig, prefix: str = "") -> str:
    """The accelerator of `config` as one Verilog text, top module ``accelerator``; `prefix`: of all modules' names."""

    def write() -> str:
        with incomplete():
            top = Accelerator(config)
            return write_verilog({**top.compute.kinds, **top.post_processing.kinds(), TOP: top}, prefix)

    return kept(f"accelerator {prefix!r} {config!r}", write)
