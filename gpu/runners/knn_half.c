/* SPDX-License-Identifier: Apache-2.0 */
/* knn: what remains of a value in a 16-bit float (IEEE 754 binary16). */
#include "knn.h"

#include <math.h>

/*
 * From 2^-14 on a half has 10 bits behind the point, below it steps of 2^-24. Scaling by powers of two is exact,
 * so rounding to an integer number of steps is the only rounding there is.
 */
float knn_half_round(float value)
{
    int exponent;
    if (value == 0 || !isfinite(value))
        return value;
    frexpf(value, &exponent); /* value = m * 2^exponent, m in [0.5, 1) */
    int step = exponent - 11 > -24 ? exponent - 11 : -24;
    float rounded = ldexpf(nearbyintf(ldexpf(value, -step)), step);
    return fabsf(rounded) > 65504 ? copysignf(INFINITY, value) : rounded;
}
