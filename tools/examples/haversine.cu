/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user kernel with a thread a row: the distance between two places on earth. Rows are so short that one thread does
 * all of one.
 *
 *   [runner.distance]
 *   type = "kernel"
 *   source = "tools/examples/haversine.cu"
 *   function = "distance"
 *   in = "f64:4"
 *   out = "f64:1"
 *   params = "radius:f64=6371.0088"
 *
 * Payload {"row": [latitude, longitude, latitude, longitude]} in degrees gives {"row": [kilometres]}. Another radius
 * gives another unit, or another planet. A latitude beyond a pole refuses its task.
 */
static __device__ double radians(double degrees)
{
    return degrees * 0.017453292519943295;
}

static __device__ double squared_sine(double angle)
{
    const double s = sin(angle);
    return s * s;
}

__device__ int distance(const double *in, double *out, const tg_params &p)
{
    const double from = radians(in[0]), to = radians(in[2]);
    if (fabs(in[0]) > 90 || fabs(in[2]) > 90)
        return 1;
    const double h = squared_sine((to - from) / 2) + cos(from) * cos(to) * squared_sine(radians(in[3] - in[1]) / 2);
    out[0] = 2 * p.radius * asin(sqrt(fmin(h, 1.0)));
    return 0;
}
