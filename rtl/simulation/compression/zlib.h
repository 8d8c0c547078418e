// What Verilator's FST writer asks of zlib, so that a trace needs no library: a stream of stored blocks. It is longer than
// its content, and the writer then keeps the content itself.

#ifndef LOCKSTEP_ZLIB_H
#define LOCKSTEP_ZLIB_H

#include <cstdint>
#include <cstring>

using uLong = unsigned long;
using uLongf = unsigned long;
using Bytef = unsigned char;

constexpr int Z_OK = 0, Z_BUF_ERROR = -5;

inline uLong compressBound(uLong size) { return size + 5 * (size / 65535 + 1) + 6; }

inline int compress2(Bytef* target, uLongf* target_size, const Bytef* source, uLong size, int /*level*/) {
    if (*target_size < compressBound(size)) return Z_BUF_ERROR;
    Bytef* out = target;
    *out++ = 0x78;
    *out++ = 0x01;
    uint32_t a = 1, b = 0;
    for (uLong at = 0;;) {
        const uLong count = size - at < 65535 ? size - at : 65535;
        *out++ = at + count == size;  // the last block
        for (const uLong number : {count, ~count}) {
            *out++ = static_cast<Bytef>(number);
            *out++ = static_cast<Bytef>(number >> 8);
        }
        std::memcpy(out, source + at, count);
        out += count;
        for (uLong k = 0; k < count; ++k) {
            a = (a + source[at + k]) % 65521;
            b = (b + a) % 65521;
        }
        at += count;
        if (at == size) break;
    }
    for (const uint32_t half : {b, a}) {
        *out++ = static_cast<Bytef>(half >> 8);
        *out++ = static_cast<Bytef>(half);
    }
    *target_size = static_cast<uLongf>(out - target);
    return Z_OK;
}

#endif
