/* SPDX-License-Identifier: Apache-2.0 */
/* In place of NVRTC: reports what the process that compiles has been left, as the error of a compilation. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

#define CALL __attribute__((visibility("default")))
CALL int nvrtcVersion(int *major, int *minor);
CALL int nvrtcCreateProgram(void **p, const char *text, const char *name, int headers, const char *const *h,
                            const char *const *names);
CALL int nvrtcCompileProgram(void *p, int count, const char *const *options);
CALL int nvrtcGetProgramLogSize(void *p, size_t *bytes);
CALL int nvrtcGetProgramLog(void *p, char *to);
CALL int nvrtcGetPTXSize(void *p, size_t *bytes);
CALL int nvrtcGetPTX(void *p, char *to);
CALL int nvrtcGetCUBINSize(void *p, size_t *bytes);
CALL int nvrtcGetCUBIN(void *p, char *to);
CALL const char *nvrtcGetErrorString(int code);

static char report[100];

int nvrtcVersion(int *major, int *minor)
{
    *major = *minor = 0;
    return 0;
}

int nvrtcCreateProgram(void **p, const char *text, const char *name, int headers, const char *const *h,
                       const char *const *names)
{
    int descriptors = 0, variables = 0;
    for (int fd = 0; fd < 4096; fd++)
        descriptors += fcntl(fd, F_GETFD) >= 0;
    for (char **e = environ; *e; e++)
        variables += strncmp(*e, "LD_LIBRARY_PATH=", 16) != 0 && strncmp(*e, "CUDA_", 5) != 0;
    snprintf(report, sizeof(report), "spy.cu(1): error: spy: %d descriptors, %d variables\n", descriptors, variables);
    *p = report;
    return 0;
}

int nvrtcCompileProgram(void *p, int count, const char *const *options)
{
    return 6;
}

int nvrtcGetProgramLogSize(void *p, size_t *bytes)
{
    *bytes = sizeof(report);
    return 0;
}

int nvrtcGetProgramLog(void *p, char *to)
{
    memcpy(to, report, sizeof(report));
    return 0;
}

int nvrtcGetPTXSize(void *p, size_t *bytes)
{
    return 1;
}

int nvrtcGetPTX(void *p, char *to)
{
    return 1;
}

int nvrtcGetCUBINSize(void *p, size_t *bytes)
{
    return 1;
}

int nvrtcGetCUBIN(void *p, char *to)
{
    return 1;
}

const char *nvrtcGetErrorString(int code)
{
    return "spy";
}
