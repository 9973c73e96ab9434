/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libcuda.so.1 without a device: the runtime that is linked into the program finds it by LD_LIBRARY_PATH and asks it as
 * it would a real driver. FAKE_CUDA_VERSION is the version it speaks (13000), FAKE_CUDA_ANSWER what it says to everything
 * else (a CUresult; 100: no device); "die" ends the process instead, and "hang" never comes back.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static int number(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

static int answer(void)
{
    const char *text = getenv("FAKE_CUDA_ANSWER");
    if (text && strcmp(text, "die") == 0)
        abort();
    while (text && strcmp(text, "hang") == 0)
        pause();
    return number("FAKE_CUDA_ANSWER", 100);
}

EXPORT int cuDriverGetVersion(int *version);
EXPORT int cuInit(unsigned flags);
EXPORT int cuGetExportTable(const void **table, const void *id);
EXPORT int cuGetProcAddress_v2(const char *symbol, void **function, int version, unsigned long long flags,
                               int *status);

int cuDriverGetVersion(int *version)
{
    *version = number("FAKE_CUDA_VERSION", 13000);
    return 0;
}

int cuInit(unsigned flags)
{
    return answer();
}

int cuGetExportTable(const void **table, const void *id)
{
    return answer();
}

typedef void any_fn(void);

static any_fn *find(const char *symbol)
{
    if (strcmp(symbol, "cuDriverGetVersion") == 0)
        return (any_fn *)cuDriverGetVersion;
    if (strcmp(symbol, "cuInit") == 0)
        return (any_fn *)cuInit;
    return strcmp(symbol, "cuGetProcAddress") == 0 ? (any_fn *)cuGetProcAddress_v2 : (any_fn *)answer;
}

/* A pointer to a function becomes one to data by its bytes. */
int cuGetProcAddress_v2(const char *symbol, void **function, int version, unsigned long long flags,
                        int *status)
{
    any_fn *found = find(symbol);
    memcpy(function, &found, sizeof(*function));
    if (status)
        *status = 0;
    return 0;
}
