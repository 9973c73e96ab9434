/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel: compiling, in a process of its own. A compiler on a user's source may take for ever, all memory, or crash;
 * and NVRTC is a large library that the gateway neither links nor wants in its memory. The child is this program again
 * (`taskgate compile-kernel --child`). It inherits three files in memory and nothing else: text, image and log.
 */
#include "kernel.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX (KERNEL_DEFINES_MAX + 16)
#define LOG_BYTES_MAX (256 << 10) /* what is read of it */
#define LOG_LINES_MAX 20          /* what is passed on of it */

enum { TEXT, IMAGE, LOG, FILES }; /* the child's stdin, stdout, stderr */

struct compilation {
    const struct kernel_build *b;
    const struct tg_host *host;
    int files[FILES];
    char *arguments[ARGUMENTS_MAX + 1];
    uint32_t argument_count;
    bool late; /* stopped at the limit */
    int status;
};

/* ---- what the child is given ------------------------------------------------------------------------------ */

/* One more, formatted; NULL where memory is short, which set_arguments() sees. */
static __attribute__((format(printf, 2, 3))) void add(struct compilation *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vasprintf(&c->arguments[c->argument_count], format, args) < 0)
        c->arguments[c->argument_count] = NULL;
    c->argument_count++;
    va_end(args);
}

static void add_defines(struct compilation *c, const char *text)
{
    for (text += strspn(text, KERNEL_BLANKS); *text; text += strspn(text, KERNEL_BLANKS)) {
        size_t len = strcspn(text, KERNEL_BLANKS);
        add(c, "-D%.*s", (int)len, text);
        text += len;
    }
}

static int set_arguments(struct compilation *c)
{
    const struct kernel_build *b = c->b;
    const char *slash = strrchr(b->source, '/');
    add(c, "taskgate");
    add(c, "compile-kernel");
    add(c, "--child");
    add(c, "%" PRIu32, b->limit_ms / 1000 + 1);
    add(c, "%s", b->nvrtc);
    add(c, "%.*s", slash ? (int)(slash - b->source) + 1 : 1, slash ? b->source : ".");
    add(c, "%s", b->source);
    add(c, "--gpu-architecture=%s", b->arch);
    if (b->fast_math)
        add(c, "--use_fast_math");
    add_defines(c, b->defines);
    for (uint32_t i = 0; i < c->argument_count; i++)
        if (!c->arguments[i])
            return -ENOMEM;
    return 0;
}

static int fill(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EINTR)
            return -errno;
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

static int open_files(struct compilation *c, const char *text)
{
    for (int i = 0; i < FILES; i++) {
        c->files[i] = memfd_create("kernel", MFD_CLOEXEC);
        if (c->files[i] < 0)
            return -errno;
    }
    return fill(c->files[TEXT], text);
}

/* ---- the child -------------------------------------------------------------------------------------------- */

/* By what libraries are found, and nothing that could be a secret. */
static void set_environment(char **to)
{
    static const char *const names[] = {"LD_LIBRARY_PATH=", "CUDA_HOME=", "CUDA_PATH="};
    size_t n = 0;
    for (char **e = environ; *e; e++)
        for (size_t i = 0; i < TG_ARRAY_SIZE(names); i++)
            if (strncmp(*e, names[i], strlen(names[i])) == 0 && n < TG_ARRAY_SIZE(names))
                to[n++] = *e;
    to[n] = NULL;
}

static int spawn_with(struct compilation *c, posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
                      pid_t *pid)
{
    char *environment[4];
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    set_environment(environment);
    for (int i = 0; i < FILES; i++)
        posix_spawn_file_actions_adddup2(actions, c->files[i], i);
    posix_spawn_file_actions_addclosefrom_np(actions, FILES);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return -posix_spawn(pid, "/proc/self/exe", actions, attributes, c->arguments, environment);
}

static int spawn(struct compilation *c, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int rc = spawn_with(c, &actions, &attributes, pid);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* Until the child has ended or its time is over; a signal to us does not give it more. */
static bool in_time(const struct compilation *c, int pidfd)
{
    struct pollfd wait = {.fd = pidfd, .events = POLLIN};
    uint64_t until_ns = c->host->now_ns() + c->b->limit_ms * 1000000ull;
    for (;;) {
        uint64_t now_ns = c->host->now_ns();
        int left_ms = now_ns < until_ns ? (int)((until_ns - now_ns) / 1000000) + 1 : 0;
        int n = poll(&wait, 1, left_ms);
        if (n > 0)
            return true;
        if (left_ms == 0 || (n < 0 && errno != EINTR))
            return false;
    }
}

/* Its end, which a parent that ignores SIGCHLD is never told: then nothing is known of the image. */
static int reap(struct compilation *c, pid_t pid)
{
    while (waitpid(pid, &c->status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    c->late |= WIFSIGNALED(c->status) && WTERMSIG(c->status) == SIGXCPU;
    return 0;
}

static int run_child(struct compilation *c)
{
    pid_t pid;
    int rc = spawn(c, &pid);
    if (rc)
        return rc;
    int pidfd = pidfd_open(pid, 0);
    rc = pidfd < 0 ? -errno : 0;
    c->late = rc == 0 && !in_time(c, pidfd);
    if (rc || c->late)
        kill(pid, SIGKILL);
    int reaped = reap(c, pid);
    if (pidfd >= 0)
        close(pidfd);
    return rc ? rc : reaped;
}

/* ---- what it left ----------------------------------------------------------------------------------------- */

/* As it may stand in a log: the source is the operator's, but nobody has looked at its bytes. */
static void make_printable(char *line)
{
    for (unsigned char *c = (unsigned char *)line; *c; c++)
        if (*c < ' ' || *c >= 0x7f)
            *c = *c == '\t' ? ' ' : '?';
}

static bool is_error(const char *line)
{
    return strstr(line, ": error: ") || strstr(line, ": error #") || strstr(line, "catastrophic error: ");
}

/* Each line into the log, the first error also to @err. */
static void pass_on(const struct compilation *c, char *log, enum tg_log_level level, struct tg_error *err)
{
    char *rest = NULL;
    int lines = 0;
    for (char *line = strtok_r(log, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        make_printable(line);
        if (err && !err->message[0] && is_error(line))
            tg_error_set(err, strstr(line, "--gpu-architecture") ? "arch" : "source", "%s", line);
        if (lines++ < LOG_LINES_MAX)
            c->host->log(level, "%s", line);
        else if (lines == LOG_LINES_MAX + 1)
            c->host->log(level, "%s: more was said", c->b->source);
    }
}

static int read_log(const struct compilation *c, char **log)
{
    *log = malloc(LOG_BYTES_MAX + 1);
    if (!*log)
        return -ENOMEM;
    ssize_t n = pread(c->files[LOG], *log, LOG_BYTES_MAX, 0);
    (*log)[n > 0 ? n : 0] = '\0';
    return n < 0 ? -errno : 0;
}

/* It could not even begin; its only line says why. */
static int unable(char *log, struct tg_error *err)
{
    log[strcspn(log, "\n")] = '\0';
    make_printable(log);
    tg_error_set(err, "nvrtc", "%s", log);
    return -ENOENT;
}

static int refused(const struct compilation *c, char *log, struct tg_error *err)
{
    err->message[0] = '\0';
    pass_on(c, log, TG_LOG_ERROR, err);
    if (!err->message[0])
        tg_error_set(err, "source", "%.120s cannot be compiled; the log says why", c->b->source);
    return -EINVAL;
}

static int take_image(const struct compilation *c, struct kernel *k, struct tg_error *err)
{
    struct stat st;
    if (fstat(c->files[IMAGE], &st) == 0 && st.st_size > 0 && st.st_size <= KERNEL_IMAGE_BYTES_MAX) {
        void *image = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, c->files[IMAGE], 0);
        if (image != MAP_FAILED) {
            k->image = image;
            k->image_bytes = (size_t)st.st_size;
            return 0;
        }
    }
    tg_error_set(err, "source", "%.120s: the compiler left nothing that could be loaded", c->b->source);
    return -EIO;
}

static int died(const struct compilation *c, struct tg_error *err)
{
    if (WIFSIGNALED(c->status))
        tg_error_set(err, "source", "%.100s: the compiler was ended by signal %d (%s)", c->b->source,
                     WTERMSIG(c->status), strsignal(WTERMSIG(c->status)));
    else
        tg_error_set(err, "source", "%.100s: the compiler's process ended with status %d", c->b->source,
                     WEXITSTATUS(c->status));
    return -EIO;
}

static int judge(const struct compilation *c, struct kernel *k, char *log, struct tg_error *err)
{
    if (c->late) {
        tg_error_set(err, "compile_ms", "compiling %.100s took over %" PRIu32 " ms and was stopped", c->b->source,
                     c->b->limit_ms);
        return -ETIMEDOUT;
    }
    switch (WIFEXITED(c->status) ? WEXITSTATUS(c->status) : -1) {
    case KERNEL_CHILD_COMPILED:
        pass_on(c, log, TG_LOG_WARN, NULL);
        return take_image(c, k, err);
    case KERNEL_CHILD_REFUSED:
        return refused(c, log, err);
    case KERNEL_CHILD_UNABLE:
        return unable(log, err);
    default:
        return died(c, err);
    }
}

/* ---- altogether ------------------------------------------------------------------------------------------- */

static int compile_text(struct compilation *c, struct kernel *k, const char *text, struct tg_error *err)
{
    char *log = NULL;
    int rc = set_arguments(c);
    if (rc == 0)
        rc = open_files(c, text);
    if (rc == 0)
        rc = run_child(c);
    if (rc == 0)
        rc = read_log(c, &log);
    if (rc)
        tg_error_set(err, "source", "the compiler cannot be run: %s", strerror(-rc));
    else
        rc = judge(c, k, log, err);
    free(log);
    return rc;
}

int kernel_compile(struct kernel *k, const struct kernel_build *b, struct tg_error *err)
{
    struct compilation c = {.b = b, .host = k->host, .files = {-1, -1, -1}};
    char *text = NULL;
    int rc = kernel_source_text(k, b, &text, err);
    if (rc)
        return rc;
    rc = compile_text(&c, k, text, err);
    for (int i = 0; i < FILES; i++)
        if (c.files[i] >= 0)
            close(c.files[i]);
    for (uint32_t i = 0; i < c.argument_count; i++)
        free(c.arguments[i]);
    free(text);
    return rc;
}
