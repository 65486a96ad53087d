/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Load: customers who order by HTTP, and how long each had to wait. Each customer has one connection, opened before the
 * clock starts, and sends the next order when the answer to the last one is there.
 */
#include <curl/curl.h>
#include <kurier/sys/clock.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "events.h"
#include "purchases.h"
#include "service.h"

enum {
    CUSTOMERS_MAX = 64,
    WAIT_MS = 30000,
    ANSWER_SIZE = 300
};

struct load {
    char url[256];
    struct purchases purchases; /* empty: made up */
    int skip, count, customers, pause_ms, warm_up;
    atomic_int next;
    atomic_int good;       /* answered 201 or 202 */
    int64_t *waited_us;    /* of each order; -1 when it was refused */
    char first_fault[512]; /* of one that was refused; written by whoever sets has_fault */
    atomic_bool has_fault;
};

/* ---- Orders ---- */

static kur_status made_up(int number, kur_buffer *json, kur_error *error)
{
    static const char *const people[] = {"Milena", "Felice", "Ottla", "Max", "Dora", "Oskar", "Julie", "Robert"};
    static const char *const wares[] = {"ink", "paper", "lamp", "desk", "chair", "stamp", "envelope", "clock"};
    const char *who = people[number % 8];
    char email[64], sku[32];
    snprintf(email, sizeof email, "%s@example.org", who);
    snprintf(sku, sizeof sku, "%s-%d", wares[number % 7], number % 40);
    struct order_line line = {.sku = sku, .quantity = 1 + number % 3, .amount = 450 + number % 11 * 125};
    struct order_request request = {.customer = who, .email = email};
    request.lines.items = &line;
    request.lines.count = 1;
    return order_request_to_json(&request, json, error);
}

static kur_status from_file(const struct purchase *purchase, kur_buffer *json, kur_error *error)
{
    char email[96];
    size_t size = 0;
    for (const char *c = purchase->customer; *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        email[size++] = plain ? *c : '-';
    }
    snprintf(email + size, sizeof email - size, "@example.org");
    struct order_line line = {.sku = "purchase", .quantity = purchase->quantity, .amount = purchase->amount};
    struct order_request request = {.customer = purchase->customer, .email = email};
    request.placed_at.has = true;
    request.placed_at.value = (int64_t)purchase->date * 24 * 3600 * 1000000;
    request.lines.items = &line;
    request.lines.count = 1;
    return order_request_to_json(&request, json, error);
}

/* ---- Sending ---- */

static size_t take_answer(char *data, size_t size, size_t count, void *user)
{
    char *answer = user; /* its beginning will do */
    size_t have = strlen(answer), room = ANSWER_SIZE - 1 - have, more = size * count < room ? size * count : room;
    memcpy(answer + have, data, more);
    answer[have + more] = '\0';
    return size * count;
}

/* Posts an order and waits for the answer; NULL when it was taken, else what was wrong, which may be in `answer`. */
static const char *post(struct load *load, CURL *curl, int number, char (*answer)[ANSWER_SIZE])
{
    kur_buffer json = {0};
    long code = 0;
    int index = load->skip + number;
    kur_status status =
        load->purchases.count > 0 ? from_file(&load->purchases.items[index], &json, NULL) : made_up(index, &json, NULL);
    (*answer)[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, json.data);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)json.size);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, (void *)*answer);
    CURLcode result = status == KUR_OK ? curl_easy_perform(curl) : CURLE_OUT_OF_MEMORY;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    kur_buffer_done(&json);
    if (result != CURLE_OK)
        return curl_easy_strerror(result);
    return code == 201 || code == 202 ? NULL : *answer;
}

static void send_one(struct load *load, CURL *curl, int number)
{
    char answer[ANSWER_SIZE];
    int64_t begun_us = kur_clock_monotonic_us();
    const char *fault = post(load, curl, number, &answer);
    load->waited_us[number] = fault == NULL ? kur_clock_monotonic_us() - begun_us : -1;
    atomic_fetch_add(&load->good, fault == NULL);
    if (fault != NULL && !atomic_exchange(&load->has_fault, true))
        snprintf(load->first_fault, sizeof load->first_fault, "%s", fault);
}

static void *be_a_customer(void *user)
{
    struct load *load = user;
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (curl == NULL || headers == NULL)
        goto out;
    char answer[ANSWER_SIZE] = "", greeting[300];
    snprintf(greeting, sizeof greeting, "%s/nobody", load->url);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, (void *)answer);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)WAIT_MS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_URL, greeting);
    curl_easy_perform(curl); /* opens the connection */
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_URL, load->url);
    for (int i = 0; i < load->warm_up; i++)
        post(load, curl, 0, &answer);
    int number;
    while ((number = atomic_fetch_add(&load->next, 1)) < load->count) {
        send_one(load, curl, number);
        struct timespec pause = {load->pause_ms / 1000, load->pause_ms % 1000 * 1000000L};
        nanosleep(&pause, NULL);
    }
out:
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return NULL;
}

/* ---- What came of it ---- */

static int by_size(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

/* Of the sorted times, the refused ones in front. */
static double percentile(const struct load *load, int good, double share)
{
    const int64_t *times = load->waited_us + (load->count - good);
    int index = (int)(share * good + 0.999999) - 1;
    return good > 0 ? (double)times[index < 0 ? 0 : index] / 1000 : 0;
}

static int run(struct load *load)
{
    pthread_t threads[CUSTOMERS_MAX];
    load->waited_us = calloc((size_t)load->count + 1, sizeof *load->waited_us);
    if (load->waited_us == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return 1;
    for (int i = 0; i < load->count; i++)
        load->waited_us[i] = -1;
    int started = 0;
    int64_t begun_us = kur_clock_monotonic_us();
    while (started < load->customers && pthread_create(&threads[started], NULL, be_a_customer, load) == 0)
        started++;
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    double seconds = (double)(kur_clock_monotonic_us() - begun_us) / 1000000;
    int good = atomic_load(&load->good);
    qsort(load->waited_us, (size_t)load->count, sizeof *load->waited_us, by_size);
    printf("sent=%d good=%d seconds=%.3f p50=%.3f p95=%.3f p99=%.3f max=%.3f\n", load->count, good, seconds,
           percentile(load, good, 0.5), percentile(load, good, 0.95), percentile(load, good, 0.99),
           percentile(load, good, 1));
    if (atomic_load(&load->has_fault))
        fprintf(stderr, "shop-load: %d of %d refused, one of them: %s\n", load->count - good, load->count,
                load->first_fault);
    free(load->waited_us);
    curl_global_cleanup();
    return good == load->count ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *url = NULL, *file = NULL, *count = "0", *skip = "0", *customers = "1", *pause = "0", *warm_up = "0";
    const struct service_flag flags[] = {
        {"url", "URL", "where to order, such as http://127.0.0.1:8080/orders; without it FILE is only checked", &url},
        {"orders", "FILE.csv", "purchases: customer,date,quantity,amount (default: made up)", &file},
        {"count", "N", "so many orders (default: all of FILE, or 100)", &count},
        {"skip", "N", "begin behind the first N", &skip},
        {"customers", "N", "so many at a time, 1 to 64 (default: 1)", &customers},
        {"warm-up", "N", "orders of each that are not measured, before the others (default: 0)", &warm_up},
        {"pause-ms", "N", "each waits so long between two orders (default: 0)", &pause},
        {0}};
    struct service service = {.name = "load",
                              .purpose = "Sends orders and says how long each had to wait, in milliseconds.",
                              .flags = flags,
                              .kind = SERVICE_TOOL};
    static struct load load;
    kur_error error = {0};
    if (!service_begin(&service, argc, argv))
        return service.status;
    if (!service_number(&service, "count", count, 0, 100000000, &load.count) ||
        !service_number(&service, "skip", skip, 0, 100000000, &load.skip) ||
        !service_number(&service, "customers", customers, 1, CUSTOMERS_MAX, &load.customers) ||
        !service_number(&service, "warm-up", warm_up, 0, 1000, &load.warm_up) ||
        !service_number(&service, "pause-ms", pause, 0, 60000, &load.pause_ms))
        return 2;
    if (file != NULL && purchases_read(&load.purchases, file, &error) != KUR_OK)
        return service_end(&service, error.code, &error);
    int all = file != NULL ? (int)load.purchases.count : 100 + load.skip, left = all > load.skip ? all - load.skip : 0;
    if (load.count == 0 || (file != NULL && load.count > left))
        load.count = left;
    int status = 0;
    if (url == NULL)
        printf("good=%zu bad=%zu\n", load.purchases.count, load.purchases.bad);
    else {
        snprintf(load.url, sizeof load.url, "%s", url);
        status = run(&load);
    }
    purchases_done(&load.purchases);
    return status;
}
