// What Verilator's FST writer asks of LZ4, so that a trace needs no library: the block format, greedily.

#ifndef LOCKSTEP_LZ4_H
#define LOCKSTEP_LZ4_H

#include <cstdint>
#include <cstring>
#include <vector>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

namespace lockstep_lz4 {

constexpr int HASH_BITS = 12, SHORTEST = 4, FARTHEST = 65535;
constexpr int LITERAL_END = 5, LAST_MATCH = 12;  // a block ends with 5 literals; its last match begins 12 bytes before

inline uint32_t four(const uint8_t* bytes) {
    uint32_t word;
    std::memcpy(&word, bytes, 4);
    return word;
}

// A length that does not fit the token's half goes on in bytes of 255, and one that is less.
inline uint8_t* length(uint8_t* out, int rest) {
    for (; rest >= 255; rest -= 255) *out++ = 255;
    *out++ = static_cast<uint8_t>(rest);
    return out;
}

inline uint8_t* sequence(uint8_t* out, const uint8_t* literals, int count, int offset, int match) {
    uint8_t* const token = out++;
    *token = static_cast<uint8_t>((count < 15 ? count : 15) << 4);
    if (count >= 15) out = length(out, count - 15);
    std::memcpy(out, literals, count);
    out += count;
    if (match == 0) return out;
    *out++ = static_cast<uint8_t>(offset);
    *out++ = static_cast<uint8_t>(offset >> 8);
    match -= SHORTEST;
    *token |= static_cast<uint8_t>(match < 15 ? match : 15);
    return match >= 15 ? length(out, match - 15) : out;
}

}  // namespace lockstep_lz4

inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
    using namespace lockstep_lz4;
    if (capacity < LZ4_compressBound(size)) return 0;
    const uint8_t* const in = reinterpret_cast<const uint8_t*>(source);
    uint8_t* const begin = reinterpret_cast<uint8_t*>(target);
    uint8_t* out = begin;
    std::vector<int> places(1 << HASH_BITS, -1);
    int literals = 0;
    for (int here = 0; here + LAST_MATCH <= size;) {
        int& place = places[four(in + here) * 2654435761u >> (32 - HASH_BITS)];
        const int there = place;
        place = here;
        if (there < 0 || here - there > FARTHEST || four(in + there) != four(in + here)) {
            ++here;
            continue;
        }
        int match = SHORTEST;
        while (here + match < size - LITERAL_END && in[there + match] == in[here + match]) ++match;
        out = sequence(out, in + literals, here - literals, here - there, match);
        here += match;
        literals = here;
    }
    out = sequence(out, in + literals, size - literals, 0, 0);
    return static_cast<int>(out - begin);
}

#endif
