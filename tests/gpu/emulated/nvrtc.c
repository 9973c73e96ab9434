/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In place of NVRTC: its "PTX" is the text itself, which the emulated runtime compiles for the host when it is loaded
 * (library.cpp), as a driver does. A text with a line "#error" is refused here already.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, OUT_OF_MEMORY = 1, COMPILATION_ERROR = 6 };

struct program {
    char *text, *code, *log;
};

/* Exported under the names of the library. */
#define CALL __attribute__((visibility("default")))
CALL int nvrtcVersion(int *major, int *minor);
CALL int nvrtcCreateProgram(struct program **p, const char *text, const char *name, int headers, const char *const *h,
                            const char *const *names);
CALL int nvrtcCompileProgram(struct program *p, int count, const char *const *options);
CALL int nvrtcGetProgramLogSize(struct program *p, size_t *bytes);
CALL int nvrtcGetProgramLog(struct program *p, char *to);
CALL int nvrtcGetPTXSize(struct program *p, size_t *bytes);
CALL int nvrtcGetPTX(struct program *p, char *to);
CALL int nvrtcGetCUBINSize(struct program *p, size_t *bytes);
CALL int nvrtcGetCUBIN(struct program *p, char *to);
CALL const char *nvrtcGetErrorString(int code);

int nvrtcVersion(int *major, int *minor)
{
    *major = 13;
    *minor = 0;
    return SUCCESS;
}

int nvrtcCreateProgram(struct program **p, const char *text, const char *name, int headers, const char *const *h,
                       const char *const *names)
{
    *p = calloc(1, sizeof(**p));
    if (!*p)
        return OUT_OF_MEMORY;
    (*p)->text = strdup(text);
    (*p)->log = strdup("");
    return SUCCESS;
}

/* Macros of the command line go before the text. */
static void write_define(FILE *to, const char *option)
{
    const char *equals = strchr(option, '=');
    int name = equals ? (int)(equals - option) : (int)strlen(option);
    if (strncmp(option, "-D", 2) == 0)
        fprintf(to, "#define %.*s %s\n", name - 2, option + 2, equals ? equals + 1 : "1");
}

int nvrtcCompileProgram(struct program *p, int count, const char *const *options)
{
    size_t bytes;
    FILE *to = open_memstream(&p->code, &bytes);
    for (int i = 0; i < count; i++)
        write_define(to, options[i]);
    fputs(p->text, to);
    fclose(to);
    if (!strstr(p->text, "\n#error"))
        return SUCCESS;
    free(p->log);
    p->log = strdup("double.cu(1): error: #error directive\n");
    return COMPILATION_ERROR;
}

int nvrtcGetProgramLogSize(struct program *p, size_t *bytes)
{
    *bytes = strlen(p->log) + 1;
    return SUCCESS;
}

int nvrtcGetProgramLog(struct program *p, char *to)
{
    strcpy(to, p->log);
    return SUCCESS;
}

int nvrtcGetPTXSize(struct program *p, size_t *bytes)
{
    *bytes = strlen(p->code) + 1;
    return SUCCESS;
}

int nvrtcGetPTX(struct program *p, char *to)
{
    strcpy(to, p->code);
    return SUCCESS;
}

int nvrtcGetCUBINSize(struct program *p, size_t *bytes)
{
    return nvrtcGetPTXSize(p, bytes);
}

int nvrtcGetCUBIN(struct program *p, char *to)
{
    return nvrtcGetPTX(p, to);
}

const char *nvrtcGetErrorString(int code)
{
    return code == COMPILATION_ERROR ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR";
}
