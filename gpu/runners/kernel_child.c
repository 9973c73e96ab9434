/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel: the process that compiles. It limits its own memory and time, loads NVRTC, gives up every file but those that
 * a source may include, and compiles. It ends with _exit(): nothing of it is worth cleaning up.
 */
#include "kernel.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPTIONS_MAX 64

enum { INVALID_OPTION = 5, COMPILATION_ERROR = 6 }; /* nvrtcResult: the log says what is wrong */

struct nvrtc {
    void *library;
#define CALL(member, name, arguments) int (*member) arguments;
#include "kernel_nvrtc.def"
#undef CALL
    const char *(*text)(int code);
    char folder[PATH_MAX];  /* of the library */
    char include[PATH_MAX]; /* of the toolkit's headers, or empty */
};

static _Noreturn __attribute__((format(printf, 1, 2))) void give_up(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(stderr);
    _exit(KERNEL_CHILD_UNABLE);
}

/* ---- limits ----------------------------------------------------------------------------------------------- */

static void limit(int resource, rlim_t soft, rlim_t hard)
{
    struct rlimit r = {soft, hard};
    setrlimit((__rlimit_resource_t)resource, &r); /* what is over a hard limit that stands already is limited enough */
}

static void limit_all(rlim_t cpu_s)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    limit(RLIMIT_CORE, 0, 0);
    limit(RLIMIT_CPU, cpu_s, cpu_s + 1);
    limit(RLIMIT_FSIZE, KERNEL_IMAGE_BYTES_MAX, KERNEL_IMAGE_BYTES_MAX);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which reserve more than any limit of use */
    limit(RLIMIT_AS, KERNEL_CHILD_MEMORY_BYTES, KERNEL_CHILD_MEMORY_BYTES);
#endif
}

/* ---- the library ------------------------------------------------------------------------------------------ */

static void *open_in(const char *folder, const char *rest)
{
    static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};
    char path[PATH_MAX];
    void *library = NULL;
    for (size_t i = 0; !library && i < TG_ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof(path), "%s%s%s", folder, rest, names[i]);
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    return library;
}

/* As the linker finds it, then where toolkits are put. */
static void *look_for_library(void)
{
    const char *const folders[] = {"", getenv("CUDA_HOME"), getenv("CUDA_PATH"), "/usr/local/cuda"};
    void *library = NULL;
    for (size_t i = 0; !library && i < TG_ARRAY_SIZE(folders); i++)
        if (folders[i])
            library = open_in(folders[i], folders[i][0] ? "/lib64/" : "");
    return library;
}

static void find_calls(struct nvrtc *n)
{
    const struct {
        void *to;
        const char *name;
    } calls[] = {
#define CALL(member, name, arguments) {&n->member, #name},
#include "kernel_nvrtc.def"
#undef CALL
        {&n->text, "nvrtcGetErrorString"},
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(calls); i++) {
        void *call = dlsym(n->library, calls[i].name);
        if (!call)
            give_up("the library has no %s(): it is too old, or no NVRTC", calls[i].name);
        memcpy(calls[i].to, &call, sizeof(call));
    }
}

/* The folder the library really lies in, whatever links lead there. */
static void find_folder(struct nvrtc *n)
{
    struct link_map *map;
    if (dlinfo(n->library, RTLD_DI_LINKMAP, &map) != 0 || !realpath(map->l_name, n->folder))
        give_up("the library's folder cannot be found");
    *strrchr(n->folder, '/') = '\0';
}

/*
 * NVRTC loads this one itself, at the first compilation: too late, since by then it may look round no more. It lies
 * beside the library, or the linker finds it.
 */
static void load_builtins(const struct nvrtc *n)
{
    char path[PATH_MAX + 64];
    int major = 0, minor = 0;
    n->version(&major, &minor);
    snprintf(path, sizeof(path), "%s/libnvrtc-builtins.so.%d.%d", n->folder, major, minor);
    if (!dlopen(path, RTLD_NOW | RTLD_LOCAL))
        dlopen(strrchr(path, '/') + 1, RTLD_NOW | RTLD_LOCAL);
}

static bool has_headers(const char *folder)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s/cuda_fp16.h", folder);
    return access(path, R_OK) == 0;
}

/* Beside the library, as toolkits have them; a source that includes none can do without. */
static void find_headers(struct nvrtc *n)
{
    const char *const starts[] = {n->folder, n->folder, getenv("CUDA_HOME"), getenv("CUDA_PATH"), "/usr/local/cuda"};
    const char *const rests[] = {"/../include", "/../../../include", "/include", "/include", "/include"};
    char path[PATH_MAX];
    for (size_t i = 0; !n->include[0] && i < TG_ARRAY_SIZE(starts); i++) {
        snprintf(path, sizeof(path), "%s%s", starts[i] ? starts[i] : "", rests[i]);
        if (starts[i] && has_headers(path) && !realpath(path, n->include))
            n->include[0] = '\0';
    }
}

static void load(struct nvrtc *n, const char *path)
{
    n->library = *path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : look_for_library();
    if (!n->library && *path)
        give_up("%s", dlerror());
    if (!n->library)
        give_up("libnvrtc.so.13 (or .12) is not there: not in the linker's path, $CUDA_HOME/lib64 or "
                "/usr/local/cuda/lib64. CUDA's NVRTC is needed to compile kernels");
    find_calls(n);
    find_folder(n);
    load_builtins(n);
    find_headers(n);
}

/* ---- confinement ------------------------------------------------------------------------------------------ */

static void allow_reading(int ruleset, const char *folder)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
        .parent_fd = open(folder, O_PATH | O_CLOEXEC),
    };
    if (rule.parent_fd < 0)
        return;
    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
}

/*
 * From here on a source can include what lies in its own folder and the toolkit's headers, and nothing can be written
 * or run. A system without Landlock leaves the child as it is: the operator chose the source, and can read it.
 */
static void confine(const struct nvrtc *n)
{
    const struct landlock_ruleset_attr attr = {
        .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1, /* all that the first version knows */
    };
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (ruleset < 0)
        return;
    allow_reading(ruleset, ".");
    if (n->include[0])
        allow_reading(ruleset, n->include);
    syscall(SYS_landlock_restrict_self, ruleset, 0);
    close(ruleset);
}

/* ---- compiling -------------------------------------------------------------------------------------------- */

static char *read_text(void)
{
    size_t len = 0, room = 1 << 21; /* more than kernel_source.c makes of the longest source */
    char *text = malloc(room);
    ssize_t n;
    if (!text)
        give_up("out of memory");
    while ((n = read(STDIN_FILENO, text + len, room - len - 1)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    return text;
}

static void write_all(int fd, const char *from, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, from, len);
        if (n < 0 && errno != EINTR)
            give_up("the result cannot be written: %s", strerror(errno));
        from += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

typedef int size_call(void *program, size_t *bytes);
typedef int copy_call(void *program, char *to);

/* Something that NVRTC made, to one of our files. */
static void hand_out(void *program, size_call *size, copy_call *copy, int fd)
{
    size_t bytes = 0;
    int rc = size(program, &bytes);
    char *to = rc == 0 ? malloc(bytes + 1) : NULL;
    if (!to || copy(program, to) != 0)
        give_up("NVRTC does not hand out what it made");
    write_all(fd, to, bytes);
    free(to);
}

static void hand_out_log(const struct nvrtc *n, void *program)
{
    size_t bytes = 0;
    char *log = n->log_bytes(program, &bytes) == 0 ? malloc(bytes + 1) : NULL;
    if (log && n->log(program, log) == 0)
        write_all(STDERR_FILENO, log, strnlen(log, bytes));
    free(log);
}

static int compile(const struct nvrtc *n, const char *name, int count, const char *const *options)
{
    bool exact = count > 0 && strstr(options[0], "=sm_"); /* --gpu-architecture comes first */
    void *program;
    int rc = n->create(&program, read_text(), name, 0, NULL, NULL);
    if (rc == 0) {
        rc = n->compile(program, count, options);
        hand_out_log(n, program);
    }
    if (rc == COMPILATION_ERROR || rc == INVALID_OPTION)
        return KERNEL_CHILD_REFUSED;
    if (rc != 0)
        give_up("NVRTC: %s", n->text(rc));
    hand_out(program, exact ? n->cubin_bytes : n->ptx_bytes, exact ? n->cubin : n->ptx, STDOUT_FILENO);
    return KERNEL_CHILD_COMPILED;
}

int kernel_child_main(int argc, char **argv)
{
    static struct nvrtc n;
    static char paths[2][PATH_MAX + 32];
    const char *options[OPTIONS_MAX];
    int count = 0;
    if (argc < 5 || argc > OPTIONS_MAX - 2)
        give_up("not to be called by hand: see taskgate compile-kernel --help");
    limit_all(strtoul(argv[0], NULL, 10));
    load(&n, argv[1]);
    if (chdir(argv[2]) < 0) /* where NVRTC looks for what a source includes */
        give_up("%s: %s", argv[2], strerror(errno));
    confine(&n);
    for (int i = 4; i < argc; i++)
        options[count++] = argv[i];
    snprintf(paths[0], sizeof(paths[0]), "-I%s", n.include);
    snprintf(paths[1], sizeof(paths[1]), "-I%s/cccl", n.include);
    for (int i = 0; n.include[0] && i < 2; i++)
        options[count++] = paths[i];
    _exit(compile(&n, argv[3], count, options));
}
