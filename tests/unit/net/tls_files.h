/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and certificates for the tests of this folder, made on the spot in a folder that goes away with them.
 */
#ifndef TLS_FILES_H
#define TLS_FILES_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char tls_folder[] = "/tmp/tg-tls-XXXXXX";

static inline void tls_folder_make(void)
{
    strcpy(tls_folder, "/tmp/tg-tls-XXXXXX");
    cr_assert_not_null(mkdtemp(tls_folder));
}

static inline void tls_folder_remove(void)
{
    DIR *d = opendir(tls_folder);
    for (struct dirent *e; d && (e = readdir(d));)
        unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    rmdir(tls_folder);
}

static inline const char *tls_path(char out[static 64], const char *name)
{
    snprintf(out, 64, "%s/%s", tls_folder, name);
    return out;
}

/* A self-signed certificate NAME.pem and its key NAME.key. */
static inline void tls_issue(const char *name, EVP_PKEY *key)
{
    char file[32], path[64];
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                               -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    cr_assert_gt(X509_sign(x, key, EVP_sha256()), 0);
    snprintf(file, sizeof(file), "%s.pem", name);
    FILE *f = fopen(tls_path(path, file), "w");
    cr_assert(f && PEM_write_X509(f, x) == 1 && fclose(f) == 0);
    snprintf(file, sizeof(file), "%s.key", name);
    f = fopen(tls_path(path, file), "w");
    cr_assert(f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0);
    chmod(path, 0600);
    X509_free(x);
}

static inline void tls_issue_ec(const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    cr_assert_not_null(key);
    tls_issue(name, key);
    EVP_PKEY_free(key);
}

static inline void tls_issue_rsa(const char *name, unsigned bits)
{
    EVP_PKEY *key = EVP_RSA_gen(bits);
    cr_assert_not_null(key);
    tls_issue(name, key);
    EVP_PKEY_free(key);
}

/* Replace a file of the folder by another's content, in one step. */
static inline void tls_put(const char *to, const char *from)
{
    char a[64], b[64], text[16384];
    FILE *f = fopen(tls_path(a, from), "r");
    cr_assert_not_null(f);
    size_t len = fread(text, 1, sizeof(text), f);
    fclose(f);
    f = fopen(tls_path(a, "new"), "w");
    cr_assert(f && fwrite(text, 1, len, f) == len && fclose(f) == 0);
    chmod(a, 0600);
    cr_assert_eq(rename(a, tls_path(b, to)), 0);
}

#endif
