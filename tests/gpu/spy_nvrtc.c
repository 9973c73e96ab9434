/* SPDX-License-Identifier: Apache-2.0 */
/* In place of NVRTC: reports what the process that compiles has been left, as the error of a compilation. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
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

static char report[200];

static bool can_open(const char *path, int flags)
{
    int fd = open(path, flags, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Whether a program can be run: one that ends at once. */
static bool can_run(void)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

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
    struct rlimit core = {1, 1};
    getrlimit(RLIMIT_CORE, &core);
    snprintf(report, sizeof(report),
             "spy.cu(1): error: spy: %d descriptors, %d variables, core %d, reads elsewhere %d, writes %d, runs %d\n",
             descriptors, variables, (int)core.rlim_max, can_open("/etc/passwd", O_RDONLY),
             can_open("spy-was-here", O_WRONLY | O_CREAT), can_run());
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
