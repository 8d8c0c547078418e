// The main program of a Verilator simulation: the clock is generated here, cocotb is served only when it has asked.
//
// cocotb's own main program runs every callback phase of the VPI in every time step, and a clock generated in Verilog
// costs a coroutine per edge; for a design whose Python side sleeps through whole runs both are wasted time. The top
// module has one input, `clk`. A time step is half a clock period.

#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>

#include "Vtop.h"
#include "verilated.h"
#include "verilated_vpi.h"

#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Trace = VerilatedFstC;
#elif VM_TRACE_VCD
#include "verilated_vcd_c.h"
using Trace = VerilatedVcdC;
#endif

extern "C" void vlog_startup_routines_bootstrap(void);  // cocotb's VPI library

static vluint64_t now = 0;
static const vluint64_t WARM_UP = 16;  // steps in which cocotb is still starting

double sc_time_stamp() { return static_cast<double>(now); }

static bool value_callbacks() {
    bool called = false;
    while (VerilatedVpi::callValueCbs()) called = true;
    return called;
}

// One time step's remaining phases, in the order of IEEE 1800-2012, 4.4: cocotb reads, writes, and reads again.
static void serve_callbacks(Vtop& top) {
    VerilatedVpi::callTimedCbs();
    value_callbacks();
    do {
        VerilatedVpi::clearEvalNeeded();
        VerilatedVpi::doInertialPuts();
        top.eval();
        value_callbacks();
        VerilatedVpi::callCbs(cbReadWriteSynch);
        VerilatedVpi::doInertialPuts();
        value_callbacks();
    } while (VerilatedVpi::evalNeeded());
    VerilatedVpi::callCbs(cbReadOnlySynch);
    VerilatedVpi::callCbs(cbNextSimTime);
    value_callbacks();
}

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
    Verilated::fatalOnVpiError(false);  // cocotb probes for system tasks that do not exist
    const auto top = std::make_unique<Vtop>("");
    top->clk = 0;

#if VM_TRACE
    Verilated::traceEverOn(true);
    Trace trace;
    top->trace(&trace, 99);
    for (int i = 1; i + 1 < argc; ++i) {
        if (std::strcmp(argv[i], "--trace-file") == 0) trace.open(argv[i + 1]);
    }
#endif

    vlog_startup_routines_bootstrap();
    VerilatedVpi::callCbs(cbStartOfSimulation);
    top->eval();
    serve_callbacks(*top);
    auto started = std::chrono::steady_clock::now();
    auto worked = std::clock();
    while (!Verilated::gotFinish()) {
        if (now == WARM_UP) {
            started = std::chrono::steady_clock::now();
            worked = std::clock();
        }
        ++now;
        top->clk = !top->clk;
        bool called = value_callbacks();  // who waits for the clock's edge sees what was before it
        top->eval();
        called |= value_callbacks();
        if (called || VerilatedVpi::evalNeeded() || VerilatedVpi::cbNextDeadline() <= now) serve_callbacks(*top);
#if VM_TRACE
        if (trace.isOpen()) trace.dump(now);
#endif
    }
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started;
    const vluint64_t steps = now > WARM_UP ? now - WARM_UP : now;
    const double processor = static_cast<double>(std::clock() - worked) / CLOCKS_PER_SEC;
    std::printf("simulated %llu clock cycles in %.6f s, %.6f s of processor time\n",
                static_cast<unsigned long long>(steps / 2), elapsed.count(), processor);
    top->final();
    VerilatedVpi::callCbs(cbEndOfSimulation);
#if VM_TRACE
    trace.close();
#endif
    return Verilated::threadContextp()->errorCount() > 0 ? 1 : 0;
}
