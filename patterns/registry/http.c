/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * One exchange over HTTP, by curl, on the caller's thread.
 *
 * Design notes
 *
 * Handles wait in a small pool, each with its connections; one is used by one thread at a time. Redirects are not
 * followed, wherever to: a registry has none, and a password would go along. What comes is counted while it comes. A
 * compressed answer is not asked for, so that it cannot be larger than what came.
 *
 * Signals stay the program's: no alarm is set, and SIGPIPE, which OpenSSL raises by writing where nobody reads, is held
 * back on this thread and taken away before it is let through again.
 */
#include <curl/curl.h>
#include <kurier/sys/memory.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "registry/registry.h"

enum {
    CONNECT_MS = 5000,
    HEADERS_MAX = 256 * 1024,
    REFUSAL_MAX = 64 * 1024 /* of the body of an answer that says no: what is longer explains nothing */
};

/* What is under way. */
struct exchange {
    CURL *curl;
    kur__answer *answer;
    size_t most, headers;
    bool is_too_large, is_cut, is_out_of_memory;
    char words[CURL_ERROR_SIZE];
    struct curl_slist *lines;
};

/* ---- SIGPIPE ---- */

struct held_back {
    sigset_t before;
    bool was_pending;
};

static void hold_back(struct held_back *held)
{
    sigset_t pipe, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    held->was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &held->before);
}

static void let_through(const struct held_back *held)
{
    static const struct timespec at_once = {0, 0};
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    if (!held->was_pending)
        sigtimedwait(&pipe, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &held->before, NULL);
}

/* ---- The pool ---- */

static CURL *take_handle(kur_registry *registry)
{
    CURL *curl = NULL;
    pthread_mutex_lock(&registry->lock);
    if (registry->handle_count > 0)
        curl = registry->handles[--registry->handle_count];
    pthread_mutex_unlock(&registry->lock);
    return curl != NULL ? curl : curl_easy_init();
}

static void give_handle(kur_registry *registry, CURL *curl)
{
    curl_easy_reset(curl); /* keeps the connections, forgets the passwords */
    pthread_mutex_lock(&registry->lock);
    if (registry->handle_count < KUR__REGISTRY_HANDLES) {
        registry->handles[registry->handle_count++] = curl;
        curl = NULL;
    }
    pthread_mutex_unlock(&registry->lock);
    if (curl != NULL)
        kur__http_close(curl);
}

void kur__http_close(void *handle)
{
    struct held_back held;
    hold_back(&held);
    curl_easy_cleanup(handle);
    let_through(&held);
}

/* ---- What comes ---- */

static size_t take_header(char *data, size_t one, size_t count, void *user)
{
    struct exchange *exchange = user;
    (void)data;
    exchange->headers += one * count;
    exchange->is_too_large |= exchange->headers > HEADERS_MAX;
    return exchange->is_too_large ? 0 : one * count;
}

static size_t take_body(char *data, size_t one, size_t count, void *user)
{
    struct exchange *exchange = user;
    kur_buffer *body = &exchange->answer->body;
    long code = 0;
    curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &code);
    bool is_yes = code >= 200 && code < 300;
    if (!is_yes && body->size + one * count > REFUSAL_MAX)
        exchange->is_cut = true;
    else if (body->size + one * count > exchange->most)
        exchange->is_too_large = true;
    else if (kur_buffer_append(body, data, one * count) != KUR_OK)
        exchange->is_out_of_memory = true;
    else
        return one * count;
    return 0;
}

/* ---- What is set ---- */

static bool add_line(struct exchange *exchange, const char *line)
{
    struct curl_slist *longer = curl_slist_append(exchange->lines, line);
    if (longer != NULL)
        exchange->lines = longer;
    return longer != NULL;
}

static bool set_lines(struct exchange *exchange, const kur_registry *registry, const kur__question *question)
{
    kur_buffer cluster = {0};
    bool is_set = add_line(exchange, "Accept: application/vnd.schemaregistry.v1+json, application/json");
    if (question->body.data != NULL)
        is_set = is_set && add_line(exchange, "Content-Type: application/vnd.schemaregistry.v1+json") &&
                 add_line(exchange, "Expect:"); /* nobody is asked before the body is sent */
    if (registry->options.cluster != NULL)
        is_set = is_set && kur_buffer_print(&cluster, "target-sr-cluster: %s", registry->options.cluster) == KUR_OK &&
                 add_line(exchange, cluster.data);
    kur_buffer_done(&cluster);
    return is_set && curl_easy_setopt(exchange->curl, CURLOPT_HTTPHEADER, exchange->lines) == CURLE_OK;
}

/* A text that curl copies; NULL: nothing is set. */
static bool set_text(CURL *curl, CURLoption option, const char *text)
{
    return text == NULL || curl_easy_setopt(curl, option, text) == CURLE_OK;
}

static bool set_trust(CURL *curl, const kur_registry_options *options)
{
    bool is_set = curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
    if (options->ca_file != NULL) /* it alone, without the system's */
        is_set = is_set && set_text(curl, CURLOPT_CAINFO, options->ca_file) &&
                 curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK;
    return is_set && set_text(curl, CURLOPT_SSLCERT, options->certificate_file) &&
           set_text(curl, CURLOPT_SSLKEY, options->key_file) &&
           set_text(curl, CURLOPT_KEYPASSWD, options->key_password);
}

static bool set_log_in(CURL *curl, const kur_registry_options *options)
{
    if (options->user != NULL)
        return curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC) == CURLE_OK &&
               set_text(curl, CURLOPT_USERNAME, options->user) && set_text(curl, CURLOPT_PASSWORD, options->password);
    if (options->token != NULL)
        return curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER) == CURLE_OK &&
               set_text(curl, CURLOPT_XOAUTH2_BEARER, options->token);
    return true;
}

static bool set_method(CURL *curl, const kur__question *question)
{
    if (question->body.data == NULL)
        return true; /* GET */
    return curl_easy_setopt(curl, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)question->body.size) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDS, question->body.data) == CURLE_OK &&
           set_text(curl, CURLOPT_CUSTOMREQUEST, question->method);
}

static bool set_bounds(struct exchange *exchange, const kur__url *url, int timeout_ms)
{
    CURL *curl = exchange->curl;
    long connect_ms = timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS;
    bool is_set = curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, exchange->words) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_USERAGENT, "kurier/" KUR_VERSION_TEXT) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange) == CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A look-up of a name that hangs is left behind: the time-out holds. */
    is_set = is_set && curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
#endif
    if (url->is_local) /* what a proxy for all others must not see */
        is_set = is_set && curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK;
    return is_set;
}

static bool set_url(CURL *curl, const kur__url *url, const kur__question *question)
{
    kur_buffer whole = {0};
    bool is_set = kur_buffer_print(&whole, "%s%s", url->base, question->path) == KUR_OK &&
                  curl_easy_setopt(curl, CURLOPT_URL, whole.data) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK; /* a subject ".." is one */
    kur_buffer_done(&whole);
    return is_set;
}

/* ---- The exchange ---- */

static kur_status judge(const struct exchange *exchange, CURLcode code, kur_error *error)
{
    if (exchange->is_out_of_memory || code == CURLE_OUT_OF_MEMORY)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    if (exchange->is_too_large)
        return kur_error_set(error, KUR_ERROR_TOO_LARGE, "the answer is larger than %zu bytes", exchange->most);
    if (code == CURLE_OK || exchange->is_cut)
        return KUR_OK;
    kur_status status = KUR_ERROR_UNREACHABLE;
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        status = KUR_ERROR_TIMEOUT;
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        status = KUR_ERROR_CONFIG;
        break;
    default:
        break;
    }
    return kur_error_set(error, status, "%s", exchange->words[0] != '\0' ? exchange->words : curl_easy_strerror(code));
}

static void take_answer(struct exchange *exchange)
{
    long code = 0;
    curl_off_t after = 0;
    curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_getinfo(exchange->curl, CURLINFO_RETRY_AFTER, &after);
    exchange->answer->code = (int)code;
    exchange->answer->retry_after_ms = after > 0 && after < 3600 ? after * 1000 : 0;
    if (exchange->is_cut)
        exchange->answer->body.size = 0;
}

kur_status kur__http_exchange(kur_registry *registry, const kur__url *url, const kur__question *question,
                              int timeout_ms, kur__answer *answer, kur_error *error)
{
    struct exchange exchange = {
        .curl = take_handle(registry), .answer = answer, .most = (size_t)registry->options.response_bytes};
    struct held_back held;
    *answer = (kur__answer){.body = answer->body};
    answer->body.size = 0;
    if (exchange.curl == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (set_url(exchange.curl, url, question) && set_bounds(&exchange, url, timeout_ms) &&
        set_trust(exchange.curl, &registry->options) && set_log_in(exchange.curl, &registry->options) &&
        set_method(exchange.curl, question) && set_lines(&exchange, registry, question)) {
        hold_back(&held);
        code = curl_easy_perform(exchange.curl);
        let_through(&held);
    }
    kur_status status = judge(&exchange, code, error);
    if (status == KUR_OK)
        take_answer(&exchange);
    give_handle(registry, exchange.curl);
    curl_slist_free_all(exchange.lines);
    return status;
}
