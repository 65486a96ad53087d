/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Email: writes a letter for each order. By SMTP where SMTP_URL says so (smtp://mail.example.org:25), else as an .eml
 * file in a directory.
 *
 * What the mail server says decides: "not now" (4xx), or nobody there, is tried again; "never" (5xx) goes to the dead
 * letters.
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "listener.h"
#include "service.h"

#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

struct mail {
    const struct service *service;
    const char *directory;
    const char *smtp_url; /* NULL: files */
    CURL *curl;           /* its connection stays open from letter to letter */
};

/* Both come from outside: nothing that ends a header, or leaves the directory. */
static const char *what_is_wrong(const struct order_created *order)
{
    const char *at = strchr(order->email, '@');
    if (strspn(order->order_id, PLAIN) != strlen(order->order_id))
        return "email.order_id";
    if (at == NULL || at == order->email || at[1] == '\0' ||
        strspn(order->email, PLAIN "@.+%'") != strlen(order->email))
        return "email.address";
    size_t size = strlen(order->email);
    return size > 8 && strcmp(order->email + size - 8, ".invalid") == 0 ? "email.no_such_domain" : NULL; /* RFC 2606 */
}

static kur_status write_letter(const struct order_created *order, kur_buffer *letter)
{
    kur_status status = kur_buffer_print(
        letter,
        "From: The shop <shop@example.org>\r\nTo: <%s>\r\nSubject: Your order %s\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        "Dear %s,\r\n\r\nthank you. We have your order:\r\n\r\n",
        order->email, order->order_id, order->customer);
    for (size_t i = 0; i < order->lines.count && status == KUR_OK; i++) {
        const struct order_line *line = &order->lines.items[i];
        status = kur_buffer_print(letter, "%6d  %-30s %9lld.%02lld\r\n", line->quantity, line->sku,
                                  (long long)line->amount / 100, (long long)line->amount % 100);
    }
    return status != KUR_OK ? status
                            : kur_buffer_print(letter, "\r\nTogether: %lld.%02lld\r\n", (long long)order->total / 100,
                                               (long long)order->total % 100);
}

/* Under another name first: a letter is there or it is not, and a second time changes nothing. */
static kur_outcome drop(const struct mail *mail, kur_delivery *delivery, const char *order_id, const kur_buffer *letter)
{
    char path[1024], draft[1024];
    int size = snprintf(path, sizeof path, "%s/%s.eml", mail->directory, order_id);
    snprintf(draft, sizeof draft, "%s/.%s.part", mail->directory, order_id);
    if (size >= (int)sizeof path - 16)
        return kur_reject(delivery, "email.path", "the directory's name is too long");
    FILE *file = fopen(draft, "w");
    bool written = file != NULL && fwrite(letter->data, 1, letter->size, file) == letter->size;
    if (file != NULL)
        written = fclose(file) == 0 && written;
    if (written && rename(draft, path) == 0)
        return KUR_DONE;
    return kur_retry(delivery, "email.disk", "%s: %s", draft, strerror(errno));
}

static size_t read_letter(char *into, size_t size, size_t count, void *user)
{
    kur_bytes *left = user;
    size_t taken = size * count < left->size ? size * count : left->size;
    memcpy(into, left->data, taken);
    *left = kur_bytes_of((const char *)left->data + taken, left->size - taken);
    return taken;
}

static kur_outcome post(const struct mail *mail, kur_delivery *delivery, const char *to, const kur_buffer *letter)
{
    char why[CURL_ERROR_SIZE] = "";
    long code = 0;
    kur_bytes left = kur_bytes_of(letter->data, letter->size);
    struct curl_slist *recipients = curl_slist_append(NULL, to);
    curl_easy_setopt(mail->curl, CURLOPT_URL, mail->smtp_url);
    curl_easy_setopt(mail->curl, CURLOPT_MAIL_FROM, "shop@example.org");
    curl_easy_setopt(mail->curl, CURLOPT_MAIL_RCPT, recipients);
    curl_easy_setopt(mail->curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(mail->curl, CURLOPT_READFUNCTION, read_letter);
    curl_easy_setopt(mail->curl, CURLOPT_READDATA, &left);
    curl_easy_setopt(mail->curl, CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(mail->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(mail->curl, CURLOPT_ERRORBUFFER, why);
    CURLcode result = recipients != NULL ? curl_easy_perform(mail->curl) : CURLE_OUT_OF_MEMORY;
    curl_easy_getinfo(mail->curl, CURLINFO_RESPONSE_CODE, &code);
    curl_slist_free_all(recipients);
    const char *text = why[0] != '\0' ? why : curl_easy_strerror(result);
    curl_easy_setopt(mail->curl, CURLOPT_ERRORBUFFER, NULL);
    if (result == CURLE_OK)
        return KUR_DONE;
    if (code >= 500)
        return kur_reject(delivery, "smtp.refused", "%s", text);
    return kur_retry(delivery, code >= 400 ? "smtp.not_now" : "smtp.unreachable", "%s", text);
}

static kur_outcome on_order(kur_delivery *delivery, const struct order_created *order, void *user)
{
    const struct mail *mail = user;
    service_take_time(mail->service);
    const char *wrong = what_is_wrong(order);
    kur_buffer letter = {0};
    kur_outcome outcome;
    if (wrong != NULL)
        outcome = kur_reject(delivery, wrong, "no letter can be sent for this order");
    else if (write_letter(order, &letter) != KUR_OK)
        outcome = kur_retry(delivery, "email.no_memory", "out of memory");
    else if (mail->smtp_url != NULL)
        outcome = post(mail, delivery, order->email, &letter);
    else
        outcome = drop(mail, delivery, order->order_id, &letter);
    kur_buffer_done(&letter);
    if (outcome == KUR_DONE)
        service_say(mail->service, order->order_id, "letter to %s", order->email);
    else if (outcome == KUR_REJECT)
        service_say(mail->service, order->order_id, "no letter to %s: dead letter", order->email);
    return outcome;
}

static int serve(const struct service *service, struct mail *mail)
{
    if (service->http != NULL)
        return service_answer(service, on_order, mail);
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = service->bootstrap,
                                                            .properties_file = service->properties_file,
                                                            .source = "/services/email", .log = kur_log_stderr),
                                        &error);
    kur_listener *listener = kur_listener_new(
        client, &KUR_LISTENER_OPTIONS(.group = service->group, .topics = (const char *[]){"orders", NULL}), &error);
    order_created_on(listener, on_order, mail);
    kur_status status = kur_listener_run(listener, &error); /* until SIGTERM */
    kur_listener_free(listener);
    kur_client_unref(client);
    return service_end(service, status, &error);
}

int main(int argc, char **argv)
{
    struct mail mail = {.directory = "mail", .smtp_url = getenv("SMTP_URL")};
    const struct service_flag flags[] = {
        {"mail-dir", "DIRECTORY", "where letters go unless SMTP_URL is set (default: mail)", &mail.directory}, {0}};
    struct service service = {.name = "email", .purpose = "Writes a letter for each order.", .flags = flags};
    mail.service = &service;
    if (!service_begin(&service, argc, argv))
        return service.status;
    if (mail.smtp_url == NULL && mkdir(mail.directory, 0700) != 0 && errno != EEXIST) {
        fprintf(stderr, "shop-email: --mail-dir %s: %s\n", mail.directory, strerror(errno));
        return 1;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || (mail.curl = curl_easy_init()) == NULL) {
        fprintf(stderr, "shop-email: libcurl does not start\n");
        return 1;
    }
    int status = serve(&service, &mail);
    curl_easy_cleanup(mail.curl);
    curl_global_cleanup();
    return status;
}
