/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Do this device's tensor cores sum as docs/decisions/0012 assumes? Nothing documents where they cut a sum
 * off, and the search is proven from it. Terms of random sign and of magnitudes far apart, so that much is
 * cut off; the exact sum has less than 64 bits. Prints the worst that was seen. Built twice: on the emulated
 * runtime, which cuts off as badly as is allowed, and for a real device (suite gpu).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "../support/rows.h"
#include "tensor_sum.h"

#define ALLOWED (1.5 * SUM_DEPTH * 0x1p-22) /* of the sum of all magnitudes */

static uint64_t seed = 88172645463325252u;

static uint16_t draw_half(void)
{
    return (uint16_t)(test_random(&seed, 2) << 15 | (8 + test_random(&seed, 15)) << 10 |
                      test_random(&seed, 1024));
}

/* 2^-7 to 2^7 times a number of 11 bits. */
static double half_value(uint16_t bits)
{
    double magnitude = ldexp(1024 + (bits & 1023), (bits >> 10 & 31) - 25);
    return bits & 0x8000 ? -magnitude : magnitude;
}

static float draw_sum(void)
{
    float magnitude =
        ldexpf((float)(0x800000 + test_random(&seed, 0x800000)), (int)test_random(&seed, 28) - 33);
    return test_random(&seed, 2) ? magnitude : -magnitude;
}

static void draw(struct sum_trial *t)
{
    uint16_t *halves[] = {&t->a[0][0], &t->b[0][0]};
    const size_t counts[] = {SUM_ROWS * SUM_DEPTH, SUM_DEPTH * SUM_COLUMNS};
    for (size_t m = 0; m < TG_ARRAY_SIZE(halves); m++)
        for (size_t i = 0; i < counts[m]; i++)
            halves[m][i] = draw_half();
    float *sums = &t->c[0][0];
    for (size_t i = 0; i < SUM_ROWS * SUM_COLUMNS; i++)
        sums[i] = draw_sum();
}

/* By how much a sum is off, in parts of the sum of its terms' magnitudes. */
static double error_of(const struct sum_trial *before, const struct sum_trial *after, int row, int column)
{
    long double exact = (long double)before->c[row][column], magnitude = fabsl(exact);
    for (int k = 0; k < SUM_DEPTH; k++) {
        long double product = (long double)(half_value(before->a[row][k]) * half_value(before->b[k][column]));
        exact += product;
        magnitude += fabsl(product);
    }
    return (double)(fabsl((long double)after->c[row][column] - exact) / magnitude);
}

static double worst_error(const struct sum_trial *before, const struct sum_trial *after)
{
    double worst = 0;
    for (int row = 0; row < SUM_ROWS; row++)
        for (int column = 0; column < SUM_COLUMNS; column++)
            worst = fmax(worst, error_of(before, after, row, column));
    return worst;
}

int main(int argc, char **argv)
{
    const size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 20000;
    struct sum_trial *before = calloc(count, sizeof(*before)), *after = calloc(count, sizeof(*after));
    double worst = 0;
    TG_ASSERT(before && after);
    for (size_t i = 0; i < count; i++)
        draw(&before[i]);
    memcpy(after, before, count * sizeof(*after));
    int rc = tensor_sum(after, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        worst = fmax(worst, worst_error(&before[i], &after[i]));
    printf("CUDA error %d; of %zu sums of %d products the worst is off by %.2f x 2^-22 of its terms; %.0f "
           "are allowed\n",
           rc, count * SUM_ROWS * SUM_COLUMNS, SUM_DEPTH, worst * 0x1p22, ALLOWED * 0x1p22);
    free(before);
    free(after);
    return rc != 0 || worst > ALLOWED;
}
