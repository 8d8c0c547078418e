// The main program of a Verilator simulation whose top plays everything by itself: a clock, until `finished` rises.
//
// The top module has an input `clk` and an output `finished`. A time step is half a clock period. The exit status is 0 if
// the top has finished, and the last but one line of the output then says so.

#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>

#include "Vtop.h"
#include "verilated.h"

#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Trace = VerilatedFstC;
#elif VM_TRACE_VCD
#include "verilated_vcd_c.h"
using Trace = VerilatedVcdC;
#endif

static vluint64_t now = 0;

double sc_time_stamp() { return static_cast<double>(now); }

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
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

    top->eval();
    const auto started = std::chrono::steady_clock::now();
    const auto worked = std::clock();
    while (!top->finished && !Verilated::gotFinish()) {
        ++now;
        top->clk = !top->clk;
        top->eval();
#if VM_TRACE
        if (trace.isOpen()) trace.dump(now);
#endif
    }
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started;
    const double processor = static_cast<double>(std::clock() - worked) / CLOCKS_PER_SEC;
    if (top->finished) std::printf("finished\n");
    std::printf("simulated %llu clock cycles in %.6f s, %.6f s of processor time\n",
                static_cast<unsigned long long>(now / 2), elapsed.count(), processor);
    const bool finished = top->finished;
    top->final();
#if VM_TRACE
    trace.close();
#endif
    return finished ? 0 : 1;
}
