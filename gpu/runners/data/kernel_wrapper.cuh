/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands behind a user's source when it is compiled (kernel_source.c): the kernel that is launched. It walks over
 * the rows of a batch and calls the user's function for each, so that no user's code knows how batches are laid out.
 * kernel_source.c defines before it:
 *   TG_FUNCTION, TG_ARGUMENTS, TG_SIGNATURE   the user's function, the types of its arguments, and both as text
 *   TG_IN, TG_OUT, TG_OUT_BYTES               the types of its numbers, and an answer's size
 *   TG_PARAM_BYTES                            what lies before a row's numbers
 *   TG_THREADS, TG_BLOCK                      threads a row, and of a block at most
 *   TG_REFUSED                                the status of a row whose function did not return 0
 */
struct tg_result {
    unsigned out_len, status; /* struct tg_cuda_result */
};

template <typename F> struct tg_fits {
    static const bool value = false;
};
template <> struct tg_fits<int(TG_ARGUMENTS)> {
    static const bool value = true;
};
static_assert(tg_fits<decltype(TG_FUNCTION)>::value, "the function must be: " TG_SIGNATURE);

/* A row's memory holds what another task left there: a function that forgets a number must not give that away. */
static __device__ void tg_clear(char *out, unsigned first, unsigned step)
{
    uint4 zero = {0, 0, 0, 0};
    for (unsigned i = first; i < (TG_OUT_BYTES + 15) / 16; i += step)
        ((uint4 *)out)[i] = zero;
}

static __device__ int tg_call(const char *in, char *out)
{
#if TG_PARAM_BYTES > 0
    return TG_FUNCTION((const TG_IN *)(in + TG_PARAM_BYTES), (TG_OUT *)out, *(const tg_params *)in);
#else
    return TG_FUNCTION((const TG_IN *)in, (TG_OUT *)out);
#endif
}

static __device__ void tg_finish(tg_result *result, int refused)
{
    result->out_len = refused ? 0 : TG_OUT_BYTES;
    if (refused)
        result->status = TG_REFUSED;
}

extern "C" __global__ void __launch_bounds__(TG_BLOCK)
    tg_user_kernel(const unsigned *count, const char *in, char *out, tg_result *results, unsigned in_stride,
                   unsigned out_stride)
{
    const unsigned rows = *count;
#if TG_THREADS == 1
    for (unsigned row = blockIdx.x * blockDim.x + threadIdx.x; row < rows; row += gridDim.x * blockDim.x) {
        char *to = out + (size_t)row * out_stride;
        tg_clear(to, 0, 1);
        tg_finish(&results[row], tg_call(in + (size_t)row * in_stride, to));
    }
#else
    for (unsigned row = blockIdx.x; row < rows; row += gridDim.x) {
        char *to = out + (size_t)row * out_stride;
        tg_clear(to, threadIdx.x, TG_THREADS);
        __syncthreads();
        int refused = __syncthreads_or(tg_call(in + (size_t)row * in_stride, to)); /* and all are done with the row */
        if (threadIdx.x == 0)
            tg_finish(&results[row], refused);
    }
#endif
}
