/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate files: what is accepted, what is refused and in which words, and when they are read again. */
#include "tls_files.h"

#include <openssl/ssl.h>
#include "gateway/net/tls.h"

static char certificate[64], key[64], ca[64], error[TLS_ERROR_BYTES];
static struct tls_settings settings;
static struct tls_store *store;

static void setup(void)
{
    tls_folder_make();
    tls_issue_ec("first");
    tls_issue_ec("second");
    tls_put("live.pem", "first.pem");
    tls_put("live.key", "first.key");
    settings = (struct tls_settings){.certificate = tls_path(certificate, "live.pem"),
                                     .key = tls_path(key, "live.key"),
                                     .client_ca = tls_path(ca, "second.pem"),
                                     .handshake_ns = 1000};
}

static void teardown(void)
{
    tls_store_close(store);
    tls_folder_remove();
}

TestSuite(tls_store, .init = setup, .fini = teardown);

static int open_with(uint32_t contexts)
{
    return tls_store_open(&settings, contexts, &store, error);
}

static void assert_refused(const char *text)
{
    cr_assert_lt(open_with(1), 0, "accepted, where it should have said: %s", text);
    cr_assert_null(store);
    cr_assert(strstr(error, text), "\"%s\" does not say \"%s\"", error, text);
    cr_assert_null(strchr(error, '\n'));
}

/* The common name a new connection of a worker would be greeted with. */
static void assert_serves(uint32_t worker, const char *name)
{
    char cn[64] = "";
    SSL *ssl = tls_context_session(tls_store_context(store, worker));
    cr_assert_not_null(ssl);
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get_certificate(ssl)), NID_commonName, cn,
                              sizeof(cn));
    cr_assert_str_eq(cn, name);
    SSL_free(ssl);
}

static void install(const char *name)
{
    char file[32];
    snprintf(file, sizeof(file), "%s.pem", name);
    tls_put("live.pem", file);
    snprintf(file, sizeof(file), "%s.key", name);
    tls_put("live.key", file);
}

Test(tls_store, every_worker_gets_the_certificate_and_the_time_limit)
{
    cr_assert_eq(open_with(3), 0, "%s", error);
    for (uint32_t i = 0; i < 3; i++) {
        assert_serves(i, "first");
        cr_assert_eq(tls_context_handshake_ns(tls_store_context(store, i)), 1000);
    }
}

Test(tls_store, sessions_refuse_what_is_weak)
{
    cr_assert_eq(open_with(1), 0, "%s", error);
    SSL *ssl = tls_context_session(tls_store_context(store, 0));
    uint64_t wanted = SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE;
    cr_assert_eq(SSL_get_options(ssl) & wanted, wanted);
    cr_assert_eq(SSL_get_min_proto_version(ssl), TLS1_2_VERSION);
    cr_assert_eq(SSL_get_security_level(ssl), 2);
    STACK_OF(SSL_CIPHER) *suites = SSL_get_ciphers(ssl);
    cr_assert_eq(sk_SSL_CIPHER_num(suites), 9);
    for (int i = 0; i < sk_SSL_CIPHER_num(suites); i++)
        cr_assert(SSL_CIPHER_is_aead(sk_SSL_CIPHER_value(suites, i)));
    SSL_free(ssl);
}

Test(tls_store, version_1_3_alone_if_asked_for)
{
    settings.only_1_3 = true;
    cr_assert_eq(open_with(1), 0, "%s", error);
    SSL *ssl = tls_context_session(tls_store_context(store, 0));
    cr_assert_eq(SSL_get_min_proto_version(ssl), TLS1_3_VERSION);
    SSL_free(ssl);
}

Test(tls_store, clients_are_asked_as_configured)
{
    static const int modes[] = {SSL_VERIFY_NONE, SSL_VERIFY_PEER,
                                SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT};
    for (int i = TLS_CLIENT_NONE; i <= TLS_CLIENT_REQUIRED; i++) {
        settings.client_auth = (enum tls_client_auth)i;
        cr_assert_eq(open_with(1), 0, "%s", error);
        SSL *ssl = tls_context_session(tls_store_context(store, 0));
        cr_assert_eq(SSL_get_verify_mode(ssl), modes[i]);
        SSL_free(ssl);
        tls_store_close(store);
        store = NULL;
    }
}

Test(tls_store, a_client_ca_that_nobody_uses_need_not_exist)
{
    settings.client_ca = "/nowhere";
    cr_assert_eq(open_with(1), 0, "%s", error);
}

Test(tls_store, a_file_that_is_not_there_is_named)
{
    settings.certificate = "/nowhere/c.pem";
    assert_refused("tls.certificate: cannot read /nowhere/c.pem: No such file or directory");
    settings.certificate = certificate;
    settings.client_auth = TLS_CLIENT_REQUIRED;
    settings.client_ca = "";
    assert_refused("tls.client_ca names no file");
}

Test(tls_store, a_key_that_others_may_read_or_write_is_refused)
{
    for (mode_t bit = 1; bit <= 0040; bit <<= 1) {
        chmod(key, 0600 | bit);
        assert_refused("is open to others than its owner; chmod 0600 it");
    }
    chmod(key, 0400);
    cr_assert_eq(open_with(1), 0, "%s", error);
}

Test(tls_store, a_folder_or_a_huge_file_is_refused)
{
    char path[64];
    settings.certificate = tls_folder;
    assert_refused("is not a plain file");
    settings.certificate = tls_path(path, "huge.pem");
    FILE *f = fopen(path, "w");
    cr_assert(f && fclose(f) == 0 && truncate(path, (1 << 20) + 1) == 0);
    assert_refused("is too large");
}

Test(tls_store, a_key_of_another_certificate_is_refused_whatever_its_kind)
{
    char path[64];
    settings.key = tls_path(path, "second.key");
    assert_refused("tls.key: the key is not the certificate's");
    tls_issue_rsa("rsa", 2048);
    settings.key = tls_path(path, "rsa.key");
    assert_refused("tls.key: the key is not the certificate's");
}

Test(tls_store, a_short_rsa_key_is_refused)
{
    char path[64], path2[64];
    tls_issue_rsa("rsa", 1024);
    settings.certificate = tls_path(path, "rsa.pem");
    settings.key = tls_path(path2, "rsa.key");
    assert_refused("tls.certificate: the certificate is refused");
}

Test(tls_store, files_without_pem_in_them_are_refused)
{
    settings.certificate = key;
    assert_refused("tls.certificate: no PEM certificate in it");
    settings.certificate = certificate;
    tls_put("live.key", "first.pem");
    assert_refused("tls.key: no PEM private key in it");
    tls_put("live.key", "first.key");
    settings.client_auth = TLS_CLIENT_OPTIONAL;
    settings.client_ca = key;
    assert_refused("tls.client_ca: no PEM certificate in it");
}

Test(tls_store, a_broken_certificate_behind_a_good_one_is_refused)
{
    FILE *f = fopen(certificate, "a");
    cr_assert(f && fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", f) >= 0 &&
              fclose(f) == 0);
    assert_refused("tls.certificate: a certificate of the chain is broken");
}

Test(tls_store, a_chain_is_taken_whole)
{
    tls_put("chain.pem", "first.pem");
    char path[64], from[64], text[8192];
    FILE *in = fopen(tls_path(from, "second.pem"), "r"), *out = fopen(tls_path(path, "chain.pem"), "a");
    cr_assert(in && out);
    size_t len = fread(text, 1, sizeof(text), in);
    cr_assert_eq(fwrite(text, 1, len, out), len);
    fclose(in);
    fclose(out);
    settings.certificate = path;
    cr_assert_eq(open_with(1), 0, "%s", error);
    SSL *ssl = tls_context_session(tls_store_context(store, 0));
    STACK_OF(X509) *chain = NULL;
    cr_assert_eq(SSL_CTX_get0_chain_certs(SSL_get_SSL_CTX(ssl), &chain), 1);
    cr_assert_eq(sk_X509_num(chain), 1);
    SSL_free(ssl);
}

Test(tls_store, a_look_without_a_change_reads_nothing)
{
    cr_assert_eq(open_with(1), 0, "%s", error);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(tls_store_look(store, error), 0);
}

Test(tls_store, changed_files_are_taken_once_they_have_settled)
{
    cr_assert_eq(open_with(2), 0, "%s", error);
    install("second");
    cr_assert_eq(tls_store_look(store, error), 0, "it may still be written");
    assert_serves(0, "first");
    cr_assert_eq(tls_store_look(store, error), 1, "%s", error);
    assert_serves(0, "second");
    assert_serves(1, "second");
    cr_assert_eq(tls_store_look(store, error), 0);
}

Test(tls_store, a_bad_change_is_told_once_and_keeps_what_was)
{
    cr_assert_eq(open_with(2), 0, "%s", error);
    tls_put("live.pem", "second.pem");
    cr_assert_eq(tls_store_look(store, error), 0);
    cr_assert_lt(tls_store_look(store, error), 0);
    cr_assert(strstr(error, "the key is not the certificate's"));
    for (int i = 0; i < 3; i++)
        cr_assert_eq(tls_store_look(store, error), 0);
    assert_serves(0, "first");
    assert_serves(1, "first");
    tls_put("live.key", "second.key");
    cr_assert_eq(tls_store_look(store, error), 0);
    cr_assert_eq(tls_store_look(store, error), 1, "%s", error);
    assert_serves(1, "second");
}

Test(tls_store, a_reload_takes_new_paths_or_keeps_the_old_ones)
{
    char pem[64], k[64];
    cr_assert_eq(open_with(1), 0, "%s", error);
    struct tls_settings next = settings;
    next.certificate = tls_path(pem, "second.pem");
    cr_assert_lt(tls_store_reload(store, &next, error), 0);
    assert_serves(0, "first");
    next.key = tls_path(k, "second.key");
    next.handshake_ns = 7;
    cr_assert_eq(tls_store_reload(store, &next, error), 0, "%s", error);
    assert_serves(0, "second");
    cr_assert_eq(tls_context_handshake_ns(tls_store_context(store, 0)), 7);
    install("first");
    cr_assert_eq(tls_store_look(store, error), 0);
    cr_assert_eq(tls_store_look(store, error), 0, "the old paths are not watched any more");
}

Test(tls_store, a_failed_reload_leaves_the_old_paths_watched)
{
    cr_assert_eq(open_with(1), 0, "%s", error);
    struct tls_settings next = settings;
    next.certificate = "/nowhere";
    cr_assert_lt(tls_store_reload(store, &next, error), 0);
    install("second");
    cr_assert_eq(tls_store_look(store, error), 0);
    cr_assert_eq(tls_store_look(store, error), 1, "%s", error);
    assert_serves(0, "second");
}

Test(tls_store, a_session_outlives_the_certificate_it_began_with)
{
    cr_assert_eq(open_with(1), 0, "%s", error);
    SSL *old = tls_context_session(tls_store_context(store, 0));
    install("second");
    for (int i = 0; i < 3; i++)
        cr_assert_eq(tls_store_reload(store, &settings, error), 0, "%s", error);
    assert_serves(0, "second");
    char cn[64] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get_certificate(old)), NID_commonName, cn,
                              sizeof(cn));
    cr_assert_str_eq(cn, "first");
    SSL_free(old);
}
