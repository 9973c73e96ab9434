/* SPDX-License-Identifier: Apache-2.0 */
/* The harness's lanes: laid out as the host's are, but with a page behind each array that faults when
 * touched. */
#include "runner_test_parts.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LANE_BYTES_MAX (16u << 20) /* of one array, unless one task needs more */

static uint32_t power_of_two(uint32_t n)
{
    uint32_t p = 2;
    while (p < n)
        p *= 2;
    return p;
}

/* Room for the rows asked for and for two of the largest tasks; fewer where rows are large. */
static uint32_t lane_rows(const struct harness *h, uint32_t stride)
{
    uint32_t least = power_of_two(2 * h->instance->shape.rows_per_task_max + 2);
    uint32_t rows = power_of_two(h->rows + 2 * h->instance->shape.rows_per_task_max + 2);
    while (rows > least && (uint64_t)rows * stride > LANE_BYTES_MAX)
        rows /= 2;
    return rows;
}

static size_t pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

static uint32_t stride_of(uint32_t bytes)
{
    return TG_MAX(64, (bytes + 63) / 64 * 64);
}

/* Gives the array at *offset its place so that it ends where a closed page begins, and moves *offset behind
 * it. */
static uint64_t place(char *map, size_t *offset, size_t bytes)
{
    size_t guard = *offset + pages(bytes), page = pages(1);
    mprotect(map + guard, page, PROT_NONE);
    *offset = guard + page;
    return guard - bytes;
}

static bool lane_init(struct harness_lane *l, uint32_t rows, uint32_t in_stride, uint32_t out_stride,
                      uint8_t class)
{
    size_t head = pages(sizeof(struct tg_lane)), page = pages(1);
    size_t row_bytes = rows * sizeof(struct tg_row), in_bytes = (size_t)rows * in_stride;
    size_t out_bytes = (size_t)rows * out_stride, done_bytes = rows * sizeof(uint32_t);
    l->map_bytes =
        head + pages(row_bytes) + pages(in_bytes) + pages(out_bytes) + pages(done_bytes) + 4 * page;
    l->map = mmap(NULL, l->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (l->map == MAP_FAILED)
        return false;
    l->lane = l->map;
    *l->lane = (struct tg_lane){
        .mask = rows - 1, .in_stride = in_stride, .out_stride = out_stride, .size_class = class};
    l->lane->rows_offset = place(l->map, &head, row_bytes);
    l->lane->in_offset = place(l->map, &head, in_bytes);
    l->lane->out_offset = place(l->map, &head, out_bytes);
    l->lane->completions_offset = place(l->map, &head, done_bytes);
    return true;
}

bool harness_lanes_init(struct harness *h)
{
    const struct tg_shape *s = &h->instance->shape;
    for (uint32_t c = 0; c < s->size_classes; c++) {
        uint32_t in = stride_of(s->in_bytes[c]), out = stride_of(s->out_bytes[c]);
        if (!lane_init(&h->lanes[c], lane_rows(h, TG_MAX(in, out)), in, out, (uint8_t)c))
            return false;
        h->lane_list[c] = h->lanes[c].lane;
    }
    return true;
}

void harness_lanes_finish(struct harness *h)
{
    for (uint32_t c = 0; c < h->instance->shape.size_classes; c++)
        munmap(h->lanes[c].map, h->lanes[c].map_bytes);
}

void harness_lanes_reset(struct harness *h, int fill)
{
    h->fill = fill;
    for (uint32_t c = 0; c < h->instance->shape.size_classes; c++) {
        struct tg_lane *l = h->lane_list[c];
        size_t rows = (size_t)l->mask + 1;
        memset((char *)l + l->rows_offset, 0, rows * sizeof(struct tg_row));
        memset((char *)l + l->in_offset, fill, rows * l->in_stride);
        memset((char *)l + l->out_offset, fill, rows * l->out_stride);
        l->claimed = l->retired = l->mask - 1; /* the third row wraps */
    }
}

bool harness_untouched(const void *p, size_t bytes, int fill)
{
    const unsigned char *b = p;
    return bytes == 0 || (b[0] == fill && memcmp(b, b + 1, bytes - 1) == 0);
}
