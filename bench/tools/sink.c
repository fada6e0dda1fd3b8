/* Reads standard input to its end and prints "BYTES LINES HASH" (FNV-1a over 8-byte words is enough to notice
 * a byte that is lost, doubled or changed). It is the follower's other end: nothing may be slower because of
 * it. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    static unsigned char bytes[1 << 20];
    unsigned long long total = 0, lines = 0;
    uint64_t hash = 14695981039346656037u, word = 0;
    unsigned in_word = 0;
    for (ssize_t n; (n = read(0, bytes, sizeof bytes)) > 0; total += (unsigned long long)n) {
        const unsigned char *at = bytes, *end = bytes + n;
        for (const unsigned char *c = at; (c = memchr(c, '\n', (size_t)(end - c))); c++)
            lines++;
        while (at < end && in_word)
            word |= (uint64_t)*at++ << (8 * in_word), in_word = (in_word + 1) % 8,
                                                      hash = in_word ? hash : (hash ^ word) * 1099511628211u,
                                                      word = in_word ? word : 0;
        for (; end - at >= 8; at += 8) {
            uint64_t whole;
            memcpy(&whole, at, 8);
            hash = (hash ^ whole) * 1099511628211u;
        }
        while (at < end)
            word |= (uint64_t)*at++ << (8 * in_word++);
    }
    printf("%llu %llu %016llx\n", total, lines, (unsigned long long)((hash ^ word) * 1099511628211u));
    return 0;
}
