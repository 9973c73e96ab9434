/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over files and folders given as arguments, without libFuzzer: the corpus as an ordinary
 * test. A finding aborts, as it does under the fuzzer, after the name of the file.
 */
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OPEN_FOLDERS_MAX 8

static size_t files_run;

/* Memory of the file's exact size, so that the address sanitizer guards its end. */
static uint8_t *read_whole(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size ? size : 1);
    if (!file || !data || fread(data, 1, size, file) != size) {
        perror(path);
        exit(1);
    }
    fclose(file);
    return data;
}

static int run_file(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)where;
    if (kind != FTW_F)
        return kind == FTW_D ? 0 : -1;
    size_t size = (size_t)info->st_size;
    uint8_t *data = read_whole(path, size);
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    files_run++;
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (nftw(argv[i], run_file, OPEN_FOLDERS_MAX, FTW_PHYS) != 0) {
            fprintf(stderr, "%s: cannot be read\n", argv[i]);
            return 1;
        }
    }
    printf("%zu files\n", files_run);
    return files_run == 0;
}
