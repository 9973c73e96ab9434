/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user kernel with a block of threads a row: softmax over a few hundred numbers. The threads share the work on a row,
 * read neighbouring numbers, and sum up in shared memory.
 *
 *   [runner.softmax]
 *   type = "kernel"
 *   source = "tools/examples/softmax.cu"
 *   function = "softmax"
 *   in = "f32:500"
 *   out = "f32:500"
 *   params = "temperature:f32=1"
 *   threads = 128
 *
 * Payload {"rows": [[...], ...], "temperature": 2} gives {"rows": [[...], ...]}, each of which sums up to 1.
 */
static __device__ float larger(float a, float b)
{
    return fmaxf(a, b);
}

static __device__ float sum(float a, float b)
{
    return a + b;
}

/* One value of all threads' values. Every thread must come here, and gets it. */
template <float (*combine)(float, float)> static __device__ float reduce(float value)
{
    __shared__ float shared[TG_THREADS];
    shared[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = TG_THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            shared[threadIdx.x] = combine(shared[threadIdx.x], shared[threadIdx.x + half]);
        __syncthreads();
    }
    const float all = shared[0];
    __syncthreads(); /* nobody writes the next value before all have read this one */
    return all;
}

__device__ int softmax(const float *in, float *out, const tg_params &p)
{
    if (!(p.temperature > 0))
        return 1;
    float greatest = in[0], total = 0;
    for (unsigned i = threadIdx.x; i < TG_IN_COUNT; i += TG_THREADS)
        greatest = fmaxf(greatest, in[i]);
    greatest = reduce<larger>(greatest);
    for (unsigned i = threadIdx.x; i < TG_IN_COUNT; i += TG_THREADS) {
        out[i] = expf((in[i] - greatest) / p.temperature);
        total += out[i];
    }
    total = reduce<sum>(total);
    for (unsigned i = threadIdx.x; i < TG_IN_COUNT; i += TG_THREADS)
        out[i] /= total;
    return 0;
}
