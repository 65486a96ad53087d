/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "chain.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>

enum {
    CALL_MS = 10000
};

/* A handle for each thread, which keeps its connections; curl gives it back when the thread ends. */
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void begin(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    pthread_key_create(&key, curl_easy_cleanup);
}

static CURL *own_handle(void)
{
    pthread_once(&once, begin);
    CURL *curl = pthread_getspecific(key);
    if (curl == NULL && (curl = curl_easy_init()) != NULL && pthread_setspecific(key, curl) != 0) {
        curl_easy_cleanup(curl);
        curl = NULL;
    }
    return curl;
}

kur_status chain_init(struct chain *chain, const char *urls, kur_error *error)
{
    chain->count = 0;
    while (*urls != '\0') {
        size_t size = strcspn(urls, ",");
        if (chain->count == CHAIN_MAX || size == 0 || size > sizeof chain->urls[0] - 8)
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "not 1 to %d URLs with commas between", CHAIN_MAX);
        snprintf(chain->urls[chain->count++], sizeof chain->urls[0], "%.*s/work", (int)size, urls);
        urls += size + (urls[size] == ',');
    }
    return chain->count > 0 ? KUR_OK : kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "no URL");
}

static size_t pass_over(char *data, size_t size, size_t count, void *user)
{
    (void)data, (void)user;
    return size * count;
}

static kur_status call(CURL *curl, const char *url, const kur_buffer *json, struct curl_slist *headers,
                       kur_error *error)
{
    long code = 0;
    curl_easy_reset(curl); /* keeps connections */
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, json->data);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)json->size);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, pass_over);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)CALL_MS);
    curl_easy_setopt(curl, CURLOPT_MAXCONNECTS, (long)CHAIN_MAX);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    CURLcode result = curl_easy_perform(curl);
    if (result != CURLE_OK)
        return kur_error_set(error, KUR_ERROR_UNREACHABLE, "%s: %s", url, curl_easy_strerror(result));
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    return code == 200 ? KUR_OK : kur_error_set(error, KUR_ERROR_UNREACHABLE, "%s answered %ld", url, code);
}

kur_status chain_call(const struct chain *chain, const struct order_created *order, kur_error *error)
{
    CURL *curl = own_handle();
    kur_buffer json = {0};
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    kur_status status = curl != NULL && headers != NULL ? order_created_to_json(order, &json, error)
                                                        : kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < chain->count && status == KUR_OK; i++)
        status = call(curl, chain->urls[i], &json, headers, error);
    curl_slist_free_all(headers);
    kur_buffer_done(&json);
    return status;
}
