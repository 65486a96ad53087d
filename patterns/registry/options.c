/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What a registry is told: checked before anything connects. Addresses are taken apart by curl, which will use them, so
 * that there is no second opinion of where a password goes.
 */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <kurier/sys/base64.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "registry/registry.h"

#define TIMEOUT_MS 10000
#define RETRIES 3
#define RESPONSE_BYTES (INT64_C(2) << 20)
#define RESPONSE_BYTES_MAX (INT64_C(64) << 20)
#define LATEST_MS 300000
#define FIRST_WAIT_MS 1000
#define MOST_WAIT_MS 20000

static kur_status no_memory(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
}

static kur_status wrong(kur_error *error, kur_status status, const char *what)
{
    return kur_error_set(error, status, "kur_registry_options%s", what);
}

/* ---- Texts ---- */

enum {
    TEXTS = 8
};

/* All but `urls`, which is taken apart. */
static void list_texts(kur_registry_options *options, const char **texts[TEXTS])
{
    const char **all[TEXTS] = {&options->user,     &options->password,    &options->token,
                               &options->cluster,  &options->ca_file,     &options->certificate_file,
                               &options->key_file, &options->key_password};
    memcpy(texts, all, sizeof all);
}

static kur_status copy_texts(kur_registry_options *options, kur_error *error)
{
    const char **texts[TEXTS];
    bool is_whole = true;
    list_texts(options, texts);
    options->urls = NULL;
    for (int i = 0; i < TEXTS; i++) {
        const char *given = *texts[i];
        *texts[i] = given != NULL && is_whole ? kur_strdup(given) : NULL;
        is_whole = is_whole && (given == NULL || *texts[i] != NULL);
    }
    return is_whole ? KUR_OK : no_memory(error);
}

static void forget(const char *text)
{
    if (text == NULL)
        return;
    explicit_bzero((char *)(uintptr_t)text, strlen(text));
    kur_free((char *)(uintptr_t)text);
}

void kur__registry_options_done(kur_registry *registry)
{
    const char **texts[TEXTS];
    list_texts(&registry->options, texts);
    for (int i = 0; i < TEXTS; i++)
        forget(*texts[i]);
    for (size_t i = 0; i < registry->url_count; i++)
        kur_free(registry->urls[i].base);
    if (registry->basic.data != NULL)
        explicit_bzero(registry->basic.data, registry->basic.size);
    kur_buffer_done(&registry->basic);
}

/* User and password as the header has them, to be hidden when somebody shows it. */
static kur_status encode_log_in(kur_registry *registry, kur_error *error)
{
    if (registry->options.user == NULL)
        return KUR_OK;
    char plain[1024];
    int size = snprintf(plain, sizeof plain, "%s:%s", registry->options.user, registry->options.password);
    if (size < 0 || (size_t)size >= sizeof plain)
        return wrong(error, KUR_ERROR_INVALID_ARGUMENT, ": .user and .password are longer than 1,022 bytes");
    kur_status status = kur_base64_write(&registry->basic, kur_bytes_of(plain, (size_t)size));
    explicit_bzero(plain, sizeof plain);
    return status == KUR_OK ? KUR_OK : no_memory(error);
}

/* ---- URLs ---- */

static bool is_loopback(const char *host)
{
    struct in_addr four;
    if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127;
}

static bool has_part(CURLU *parts, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(parts, part, &text, 0) == CURLUE_OK && text[0] != '\0';
    curl_free(text);
    return has;
}

/* The address, as curl writes it, without the slashes at its end. */
static kur_status take_base(CURLU *parts, kur__url *url, kur_error *error)
{
    char *text = NULL;
    if (curl_url_get(parts, CURLUPART_URL, &text, 0) != CURLUE_OK)
        return no_memory(error);
    url->base = kur_strdup(text);
    curl_free(text);
    if (url->base == NULL)
        return no_memory(error);
    for (size_t size = strlen(url->base); size > 0 && url->base[size - 1] == '/'; size--)
        url->base[size - 1] = '\0';
    return KUR_OK;
}

/* A URL is not shown in an error before it is known that nothing in it is a secret. */
static kur_status check_url(const kur_registry *registry, CURLU *parts, const char *text, kur__url *url,
                            kur_error *error)
{
    char *scheme = NULL, *host = NULL;
    kur_status status = KUR_OK;
    if (curl_url_set(parts, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        status = wrong(error, KUR_ERROR_CONFIG, ".urls: one of them is no URL; they look like http://host:8081");
    else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        status = wrong(error, KUR_ERROR_CONFIG, ".urls: a schema registry has http:// or https://");
    else if (has_part(parts, CURLUPART_USER) || has_part(parts, CURLUPART_PASSWORD))
        status = wrong(error, KUR_ERROR_CONFIG, ".urls: users and passwords belong into .user and .password");
    else if (has_part(parts, CURLUPART_QUERY) || has_part(parts, CURLUPART_FRAGMENT))
        status = wrong(error, KUR_ERROR_CONFIG, ".urls: they have no query and no fragment");
    else {
        url->is_local = is_loopback(host);
        bool has_secret = registry->options.user != NULL || registry->options.token != NULL;
        if (has_secret && strcmp(scheme, "http") == 0 && !url->is_local && !registry->options.allows_clear)
            status = kur_error_set(error, KUR_ERROR_CONFIG,
                                   "kur_registry_options.urls: the password or token would go to %s in the clear: use "
                                   "https, or set .allows_clear",
                                   host);
    }
    curl_free(scheme);
    curl_free(host);
    return status;
}

static kur_status take_url(kur_registry *registry, const char *text, size_t size, kur_error *error)
{
    if (registry->url_count == KUR__REGISTRY_URLS_MAX)
        return wrong(error, KUR_ERROR_CONFIG, ".urls: more than 16");
    kur_buffer copy = {0};
    CURLU *parts = curl_url();
    kur__url *url = &registry->urls[registry->url_count];
    kur_status status = parts != NULL && kur_buffer_append(&copy, text, size) == KUR_OK ? KUR_OK : no_memory(error);
    if (status == KUR_OK)
        status = check_url(registry, parts, copy.data, url, error);
    if (status == KUR_OK)
        status = take_base(parts, url, error);
    if (status == KUR_OK)
        registry->url_count++;
    kur_buffer_done(&copy);
    curl_url_cleanup(parts);
    return status;
}

static kur_status take_urls(kur_registry *registry, const char *urls, kur_error *error)
{
    kur_status status = KUR_OK;
    for (const char *at = urls != NULL ? urls : ""; *at != '\0' && status == KUR_OK;) {
        at += strspn(at, ", \t");
        size_t size = strcspn(at, ", \t");
        if (size > 0)
            status = take_url(registry, at, size, error);
        at += size;
    }
    if (status == KUR_OK && registry->url_count == 0)
        status = wrong(error, KUR_ERROR_INVALID_ARGUMENT, ".urls is not set");
    return status;
}

/* ---- All of them ---- */

/* Nothing that ends a header's line and begins another one. */
static bool is_one_line(const char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static kur_status check_secrets(const kur_registry_options *options, kur_error *error)
{
    if (options->user != NULL && options->token != NULL)
        return wrong(error, KUR_ERROR_INVALID_ARGUMENT, ": .user and .token exclude each other");
    if ((options->user == NULL) != (options->password == NULL))
        return wrong(error, KUR_ERROR_INVALID_ARGUMENT, ": .user and .password go together");
    if (options->cluster != NULL && options->token == NULL)
        return wrong(error, KUR_ERROR_INVALID_ARGUMENT, ".cluster goes with a .token");
    if (options->user != NULL && strchr(options->user, ':') != NULL)
        return wrong(error, KUR_ERROR_INVALID_ARGUMENT, ".user: basic authentication knows no colon in it");
    if (!is_one_line(options->user) || !is_one_line(options->password) || !is_one_line(options->token) ||
        !is_one_line(options->cluster))
        return wrong(error, KUR_ERROR_INVALID_ARGUMENT,
                     ": a control character in .user, .password, .token or .cluster");
    if (options->certificate_file == NULL && (options->key_file != NULL || options->key_password != NULL))
        return wrong(error, KUR_ERROR_INVALID_ARGUMENT, ".key_file goes with a .certificate_file");
    return KUR_OK;
}

static kur_status check_file(const char *name, const char *path, kur_error *error)
{
    if (path == NULL || access(path, R_OK) == 0)
        return KUR_OK;
    return kur_error_set(error, KUR_ERROR_CONFIG, "kur_registry_options.%s: %s cannot be read", name, path);
}

static kur_status check_numbers(kur_registry_options *options, kur_error *error)
{
    if (options->timeout_ms < 0)
        return wrong(error, KUR_ERROR_INVALID_ARGUMENT, ".timeout_ms is less than 0");
    if (options->retries < KUR_NONE || options->retries > 100)
        return wrong(error, KUR_ERROR_INVALID_ARGUMENT, ".retries is not 0 to 100, or KUR_NONE");
    if (options->latest_ms < KUR_NONE)
        return wrong(error, KUR_ERROR_INVALID_ARGUMENT, ".latest_ms is neither 0, more, nor KUR_NONE");
    if (options->response_bytes < 0 || options->response_bytes > RESPONSE_BYTES_MAX)
        return wrong(error, KUR_ERROR_INVALID_ARGUMENT, ".response_bytes is not 0 to 64 MiB");
    if ((unsigned)options->subjects > KUR_SUBJECT_TOPIC_RECORD)
        return wrong(error, KUR_ERROR_INVALID_ARGUMENT, ".subjects is none of kur_subject_name");
    if (options->registers && options->uses_latest)
        return wrong(error, KUR_ERROR_INVALID_ARGUMENT, ": .registers and .uses_latest exclude each other");
    options->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
    options->retries = options->retries == KUR_NONE ? 0 : options->retries > 0 ? options->retries : RETRIES;
    options->latest_ms = options->latest_ms == KUR_NONE ? 0 : options->latest_ms > 0 ? options->latest_ms : LATEST_MS;
    options->response_bytes = options->response_bytes > 0 ? options->response_bytes : RESPONSE_BYTES;
    return KUR_OK;
}

kur_status kur__registry_options_take(kur_registry *registry, const kur_registry_options *options, kur_error *error)
{
    kur_registry_options given;
    kur_status status = kur_options_take(&given, sizeof given, options, "kur_registry_options", error);
    if (status != KUR_OK)
        return status;
    const char *urls = given.urls;
    registry->options = given;
    registry->first_wait_ms = FIRST_WAIT_MS;
    registry->most_wait_ms = MOST_WAIT_MS;
    status = copy_texts(&registry->options, error);
    if (status == KUR_OK)
        status = check_numbers(&registry->options, error);
    if (status == KUR_OK)
        status = check_secrets(&registry->options, error);
    if (status == KUR_OK)
        status = encode_log_in(registry, error);
    if (status == KUR_OK)
        status = take_urls(registry, urls, error);
    if (status == KUR_OK)
        status = check_file("ca_file", registry->options.ca_file, error);
    if (status == KUR_OK)
        status = check_file("certificate_file", registry->options.certificate_file, error);
    if (status == KUR_OK)
        status = check_file("key_file", registry->options.key_file, error);
    return status;
}

/* ---- Texts for others ---- */

kur_status kur__registry_encode(kur_buffer *path, const char *text)
{
    kur_status status = KUR_OK;
    for (; *text != '\0' && status == KUR_OK; text++) {
        unsigned char byte = (unsigned char)*text;
        bool is_plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
                        strchr("-._~", byte) != NULL;
        status = is_plain ? kur_buffer_append(path, text, 1) : kur_buffer_print(path, "%%%02X", byte);
    }
    return status;
}

static void hide_one(const char *secret, char *text)
{
    size_t size = secret != NULL ? strlen(secret) : 0;
    if (size < 4) /* it is in every other text */
        return;
    for (char *at = text; (at = strstr(at, secret)) != NULL; at += size)
        memset(at, '*', size);
    /* The beginning of one at the end of a text that was cut. */
    size_t length = strlen(text);
    for (size_t part = length < size ? length : size - 1; part >= 4; part--)
        if (memcmp(text + length - part, secret, part) == 0) {
            memset(text + length - part, '*', part);
            return;
        }
}

void kur__registry_hide(const kur_registry *registry, char *text)
{
    hide_one(registry->basic.data, text);
    hide_one(registry->options.password, text);
    hide_one(registry->options.token, text);
    hide_one(registry->options.key_password, text);
}

void kur__registry_log(kur_registry *registry, kur_log_level level, const char *format, ...)
{
    if (registry->options.log == NULL)
        return;
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    kur__registry_hide(registry, line);
    kur_error clean = {0}; /* makes one line of UTF-8 of it */
    kur_error_set(&clean, KUR_ERROR_UNREACHABLE, "%s", line);
    registry->options.log(level, clean.message, registry->options.log_user);
}
