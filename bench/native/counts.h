/* Counts by name, and ages by size: how they are kept and how they are printed. */

#ifndef VNTAPE_BENCH_COUNTS_H
#define VNTAPE_BENCH_COUNTS_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define NAMES 16
#define SUB_BUCKETS 128 /* per power of two: an age is known to 1 % */
#define BUCKETS (40 * SUB_BUCKETS)

typedef struct {
    char name[16];
    int64_t count;
} Named;

static void count_name(Named *table, const char *name, size_t size) {
    if (size > sizeof table->name - 1) size = sizeof table->name - 1;
    for (int i = 0; i < NAMES; i++) {
        if (!table[i].count) memcpy(table[i].name, name, size);
        if (!strncmp(table[i].name, name, size) && !table[i].name[size]) {
            table[i].count++;
            return;
        }
    }
}

/* Values below 2 * SUB_BUCKETS have a bucket each; above, each power of two has SUB_BUCKETS. */
static int bucket_of(int64_t value) {
    if (value < 2 * SUB_BUCKETS) return (int)value;
    int shift = 63 - __builtin_clzll((uint64_t)value) - 7;
    int bucket = shift * SUB_BUCKETS + (int)(value >> shift);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static int64_t lowest_of(int bucket) {
    if (bucket < 2 * SUB_BUCKETS) return bucket;
    int shift = bucket / SUB_BUCKETS - 1;
    return (int64_t)(bucket - shift * SUB_BUCKETS) << shift;
}

static void print_named(const char *title, const Named *table) {
    printf("\"%s\":{", title);
    for (int i = 0; i < NAMES && table[i].count; i++)
        printf("%s\"%s\":%" PRId64, i ? "," : "", table[i].name, table[i].count);
    printf("},");
}

static void print_ages(const char *title, const int64_t *table) {
    printf("\"%s\":[", title);
    const char *between = "";
    for (int i = 0; i < BUCKETS; i++)
        if (table[i]) {
            printf("%s[%" PRId64 ",%" PRId64 "]", between, lowest_of(i), table[i]);
            between = ",";
        }
    printf("],");
}

#endif
