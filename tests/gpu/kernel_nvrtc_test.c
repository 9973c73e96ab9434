/* SPDX-License-Identifier: Apache-2.0 */
/* What NVRTC makes of the examples and of sources that are wrong, in the child that compiles. No device is needed. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/landlock.h>
#include "../support/rows.h"
#include "gpu/runner.h"
#include "gpu/runners/kernel.h"

static char folder[64];

static void forget_folder(void)
{
    static const char *const names[] = {"t.cu", "own.h", "wrong.h", "pipe.cu"};
    char path[128];
    for (size_t i = 0; folder[0] && i < TG_ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

TestSuite(nvrtc, .timeout = 240, .fini = forget_folder);

static char logged[65536];

static __attribute__((format(printf, 2, 3))) void note(enum tg_log_level level, const char *format, ...)
{
    size_t len = strlen(logged);
    va_list args;
    va_start(args, format);
    vsnprintf(logged + len, sizeof(logged) - len, format, args);
    va_end(args);
}

static const struct tg_host host = {TG_RUNNER_ABI, sizeof(struct tg_host), note, test_now_ns};
static struct tg_problems problems;

static int create(const struct tg_setting *settings, struct tg_instance **instance)
{
    struct tg_instance_options o = {.name = "t", .settings = settings};
    while (settings[o.setting_count].key)
        o.setting_count++;
    problems = (struct tg_problems){0};
    return tg_instance_create(&host, &o, instance, &problems);
}

#define SETTINGS(...) ((const struct tg_setting[]){{"type", "kernel", NULL}, __VA_ARGS__, {NULL, NULL, NULL}})
#define PLAIN {"in", "f32:4", NULL}, {"out", "f32:1", NULL}
#define RUN "__device__ int run(const float *in, float *out)"
/* A table with this text as its source, and more options. */
#define SOURCE(text, ...) SETTINGS({"source", source(text), NULL}, PLAIN, ##__VA_ARGS__)
#define FILE_OF(path, ...) SETTINGS({"source", path, NULL}, PLAIN, ##__VA_ARGS__)

static const char *path_of(const char *name)
{
    static char path[128];
    if (!folder[0]) {
        snprintf(folder, sizeof(folder), "/tmp/kernel-%d", (int)getpid());
        mkdir(folder, 0700);
    }
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static const char *file(const char *name, const char *text, size_t len)
{
    const char *path = path_of(name);
    FILE *to = fopen(path, "w");
    cr_assert_not_null(to);
    cr_assert_eq(fwrite(text, 1, len, to), len);
    cr_assert_eq(fclose(to), 0);
    return path;
}

static const char *source(const char *text)
{
    return file("t.cu", text, strlen(text));
}

static void expect_compiles(const struct tg_setting *settings)
{
    struct tg_instance *instance;
    cr_assert_eq(create(settings, &instance), 0, "%s%s", problems.text, logged);
    cr_assert_gt(((const struct kernel *)instance->self)->image_bytes, 100);
    tg_instance_destroy(instance);
}

static void expect_refused(const struct tg_setting *settings, const char *problem)
{
    struct tg_instance *instance;
    cr_assert_neq(create(settings, &instance), 0);
    cr_assert_not_null(strstr(problems.text, problem), "%s", problems.text);
}

/* ---- what compiles ---------------------------------------------------------------------------------------- */

Test(nvrtc, the_examples_compile_for_every_kind_of_device)
{
    static const char *const archs[] = {"compute_75", "sm_75", "sm_90", "sm_100"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(archs); i++) {
        expect_compiles(SETTINGS({"source", EXAMPLES "/haversine.cu", NULL}, {"function", "distance", NULL},
                                 {"in", "f64:4", NULL}, {"out", "f64:1", NULL},
                                 {"params", "radius:f64=6371.0088", NULL}, {"arch", archs[i], NULL}));
        expect_compiles(SETTINGS({"source", EXAMPLES "/softmax.cu", NULL}, {"function", "softmax", NULL},
                                 {"in", "f32:500", NULL}, {"out", "f32:500", NULL}, {"threads", "128", NULL},
                                 {"params", "temperature:f32=1", NULL}, {"arch", archs[i], NULL},
                                 {"fast_math", "true", NULL}));
    }
}

Test(nvrtc, ptx_is_text_with_our_entry_and_code_for_one_device_is_elf)
{
    struct tg_instance *instance;
    cr_assert_eq(create(SOURCE(RUN "{ return 0; }"), &instance), 0, "%s", problems.text);
    const struct kernel *k = instance->self;
    cr_assert_eq(((const char *)k->image)[k->image_bytes - 1], '\0');
    cr_assert_not_null(strstr(k->image, ".entry " KERNEL_ENTRY));
    tg_instance_destroy(instance);
    cr_assert_eq(create(SOURCE(RUN "{ return 0; }", {"arch", "sm_90", NULL}), &instance), 0);
    cr_assert_arr_eq(((const struct kernel *)instance->self)->image, "\177ELF", 4);
    tg_instance_destroy(instance);
}

Test(nvrtc, headers_beside_the_source_and_those_of_cuda_are_found)
{
    file("own.h", "#define OWN 5\n", 14);
    expect_compiles(SOURCE("#include \"own.h\"\n#if OWN == 5\n" RUN "{ return 0; }\n#endif\n"));
    if (access(CUDA_INCLUDE "/cuda_fp16.h", R_OK) == 0)
        expect_compiles(SOURCE("#include <cuda_fp16.h>\n#include <cooperative_groups.h>\n" RUN
                               "{ out[0] = __half2float(__float2half(in[0])); return 0; }"));
}

Test(nvrtc, every_type_is_the_one_the_source_means)
{
    static const char *const types[][2] = {
#define ELEMENT(name, cuda, c, kind, min, max) {#name ":2", cuda},
#include "gpu/runners/kernel_types.def"
#undef ELEMENT
    };
    char text[200];
    for (size_t i = 0; i < TG_ARRAY_SIZE(types); i++) {
        snprintf(text, sizeof(text), "__device__ int run(const %s *in, %s *out) { out[0] = in[1]; return 0; }",
                 types[i][1], types[i][1]);
        expect_compiles(SETTINGS({"source", source(text), NULL}, {"in", types[i][0], NULL}, {"out", types[i][0], NULL}));
    }
}

/* ---- what does not ---------------------------------------------------------------------------------------- */

Test(nvrtc, an_error_has_the_file_and_line_of_the_user)
{
    char expected[200];
    const char *path = source("// one\n// two\n" RUN "\n{\n    return undefined_name;\n}\n");
    snprintf(expected, sizeof(expected), "runner.t.source: %s(5): error: identifier \"undefined_name\"", path);
    expect_refused(FILE_OF(path), expected);
    cr_assert_not_null(strstr(logged, "return undefined_name;"), "the line itself is in the log: %s", logged);
    source("\"unfinished\n" RUN "{ return 0; }");
    expect_refused(FILE_OF(path), "t.cu(1): error: missing closing quote");
}

Test(nvrtc, errors_in_an_included_header_have_its_name)
{
    file("wrong.h", "int x = ;\n", 10);
    expect_refused(SOURCE("#include \"wrong.h\"\n" RUN "{ return 0; }"), "wrong.h(1): error: ");
}

Test(nvrtc, a_function_of_another_form_is_told_the_right_one)
{
    static const char *const forms[] = {
        "__device__ void run(const float *in, float *out) { }",
        "__device__ int run(const double *in, float *out) { return 0; }",
        "__device__ int run(const float *in, float *out, int more) { return 0; }",
        "__device__ int run(float *in, float *out) { return 0; }",
        "__device__ int run() { return 0; }",
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(forms); i++)
        expect_refused(SOURCE(forms[i]), "the function must be: __device__ int run(const float *in, float *out)");
    expect_refused(SOURCE(RUN "{ return 0; }", {"params", "k:i32", NULL}),
                   "the function must be: __device__ int run(const float *in, float *out, const tg_params &p)");
    expect_refused(SOURCE("__device__ int other() { return 0; }"), "identifier \"run\" is undefined");
}

static bool has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

Test(nvrtc, files_elsewhere_cannot_be_included)
{
    static const char *const files[] = {"/etc/hostname", "../../etc/hostname", "/proc/self/environ"};
    char text[200];
    for (size_t i = 0; has_landlock() && i < TG_ARRAY_SIZE(files); i++) {
        snprintf(text, sizeof(text), "#include \"%s\"\n" RUN "{ return 0; }", files[i]);
        expect_refused(SOURCE(text), "t.cu(1): catastrophic error: cannot open source file");
    }
}

Test(nvrtc, a_compilation_that_never_ends_is_stopped)
{
    const char *endless = "template <int N, int A> struct F\n"
                          "{ static const long v = F<N - 1, A * 2>::v + F<N - 1, A * 2 + 1>::v; };\n"
                          "template <int A> struct F<0, A> { static const long v = A; };\n"
                          RUN "{ out[0] = F<29, 1>::v; return 0; }";
    expect_refused(SOURCE(endless, {"compile_ms", "1500", NULL}), "t.compile_ms: compiling ");
    cr_assert_not_null(strstr(problems.text, "took over 1500 ms and was stopped"), "%s", problems.text);
}

Test(nvrtc, an_architecture_nobody_knows_is_named)
{
    expect_refused(SOURCE(RUN "{ return 0; }", {"arch", "sm_11", NULL}), "t.arch: nvrtc: error");
}

/* ---- files that are no source ----------------------------------------------------------------------------- */

Test(nvrtc, files_that_cannot_be_read_are_named)
{
    expect_refused(FILE_OF("/nowhere/none.cu"), "t.source: /nowhere/none.cu: No such file");
    expect_refused(FILE_OF("/tmp"), "t.source: /tmp: is no regular file");
    expect_refused(FILE_OF(file("t.cu", "", 0)), "t.cu: is empty");
    const char *pipe = path_of("pipe.cu");
    cr_assert_eq(mkfifo(pipe, 0600), 0);
    expect_refused(FILE_OF(pipe), "pipe.cu: is no regular file");
}

Test(nvrtc, files_that_are_no_text_are_refused)
{
    expect_refused(FILE_OF(file("t.cu", "int\0x;", 6)), "is no text: it has a byte of value 0");
    char garbage[4096];
    uint64_t seed = 88172645463325252u;
    for (size_t i = 0; i < sizeof(garbage); i++)
        garbage[i] = (char)(test_random(&seed, 255) + 1);
    expect_refused(FILE_OF(file("t.cu", garbage, sizeof(garbage))), "t.cu(");
    for (const char *c = problems.text; *c; c++)
        cr_assert((*c >= ' ' && *c < 0x7f) || *c == '\n', "garbage does not reach a terminal");
}

Test(nvrtc, a_file_that_is_too_long_is_refused_unread)
{
    size_t len = (1 << 20) + 1;
    char *text = malloc(len);
    memset(text, '\n', len);
    expect_refused(FILE_OF(file("t.cu", text, len)), "t.cu: is over 1 MiB");
    memcpy(text, RUN "{ return 0; }", strlen(RUN "{ return 0; }"));
    expect_compiles(FILE_OF(file("t.cu", text, len - 1)));
    free(text);
}

/* ---- the child -------------------------------------------------------------------------------------------- */

static int open_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

Test(nvrtc, nothing_stays_open_after_success_or_failure)
{
    const char *path = source(RUN "{ return 0; }");
    expect_compiles(FILE_OF(path));
    int before = open_descriptors();
    expect_compiles(FILE_OF(path));
    source("nonsense");
    expect_refused(FILE_OF(path), "t.cu(1): error");
    expect_refused(FILE_OF(path, {"nvrtc", "/nowhere", NULL}), "t.nvrtc: /nowhere");
    cr_assert_eq(open_descriptors(), before);
}

/* This double of the library looks round and tells what it sees instead of compiling. */
Test(nvrtc, the_child_has_neither_secrets_nor_descriptors_nor_files)
{
    setenv("TASKGATE_SECRET", "canary", 1);
    int leak = open("/etc/hostname", O_RDONLY); /* without O_CLOEXEC */
    cr_assert_geq(leak, 0);
    expect_refused(SOURCE(RUN "{ return 0; }", {"nvrtc", SPY, NULL}), "spy: 3 descriptors, 0 variables, core 0, ");
    if (has_landlock())
        cr_assert_not_null(strstr(problems.text, "elsewhere 0, writes 0, runs 0"), "%s", problems.text);
    close(leak);
}
