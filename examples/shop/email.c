/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Email: writes a letter for each order. By SMTP where SMTP_URL says so (smtp://mail.example.org:25), else as an .eml
 * file in a directory.
 *
 * What the mail server says decides: "not now" is tried again, "never" goes to the dead letters. Who waits for the next
 * try does so in a retry topic, so that nobody else waits, and a restart forgets nothing. A letter may go out twice
 * when the service ends between sending it and committing; as a file it is the same file.
 *
 * Each worker has a connection of its own.
 */
#include <stdlib.h>

#include "mail.h"
#include "schemas.h"
#include "watch.h"

struct office {
    const struct service *service;
    const char *directory, *charset;
    struct mail *mail; /* by HTTP: no worker brings one */
};

static kur_status write_letter(const struct order_created *order, const char *charset, kur_buffer *letter)
{
    kur_status status = kur_buffer_print(
        letter,
        "From: The shop <shop@example.org>\r\nTo: <%s>\r\nSubject: Your order %s\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=%s\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        "Dear %s,\r\n\r\nthank you. We have your order:\r\n\r\n",
        order->email, order->order_id, charset, order->customer);
    for (size_t i = 0; i < order->lines.count && status == KUR_OK; i++) {
        const struct order_line *line = &order->lines.items[i];
        status = kur_buffer_print(letter, "%6d  %-30s %9lld.%02lld\r\n", line->quantity, line->sku,
                                  (long long)line->amount / 100, (long long)line->amount % 100);
    }
    if (status != KUR_OK)
        return status;
    return kur_buffer_print(letter, "\r\nTogether: %lld.%02lld\r\n", (long long)order->total / 100,
                            (long long)order->total % 100);
}

/* Addresses and ids come from outside and go into headers; .invalid never has a mail server (RFC 2606). */
static bool can_be_written_to(const struct order_created *order)
{
    size_t size = strlen(order->email);
    return mail_is_address(order->email) && strpbrk(order->order_id, "\r\n") == NULL &&
           (size < 8 || strcmp(order->email + size - 8, ".invalid") != 0);
}

static kur_outcome on_order(kur_delivery *delivery, const struct order_created *order, void *user)
{
    const struct office *office = user;
    service_take_time(office->service);
    if (!can_be_written_to(order)) {
        service_say(office->service, order->order_id, "no such address, to the dead letters: %s", order->email);
        return kur_reject(delivery, "email.no_such_address", "nobody can be written to");
    }
    if (!mail_can_say(office->charset, order->customer)) {
        service_say(office->service, order->order_id, "no letter in %s, to the dead letters: %s", office->charset,
                    order->customer);
        return kur_reject(delivery, "email.charset", "%s has not all letters of the name", office->charset);
    }
    kur_error error = {0};
    kur_buffer letter = {0};
    struct mail *mail = delivery != NULL ? kur_delivery_worker(delivery) : office->mail;
    enum mail_result result = MAIL_NOT_NOW;
    if (write_letter(order, office->charset, &letter) == KUR_OK)
        result = mail_send(mail, order->order_id, order->email, &letter, &error);
    kur_buffer_done(&letter);
    switch (result) {
    case MAIL_SENT:
        service_say(office->service, order->order_id, "letter to %s", order->email);
        return KUR_DONE;
    case MAIL_NOT_NOW:
        return kur_retry(delivery, "email.not_now", "%s", error.message);
    default:
        service_say(office->service, order->order_id, "refused, to the dead letters: %s", error.message);
        return kur_reject(delivery, "email.refused", "%s", error.message);
    }
}

static kur_status open_mail(void *user, void **mail, kur_error *error)
{
    const struct office *office = user;
    *mail = mail_open(getenv("SMTP_URL"), office->directory, error);
    return *mail != NULL ? KUR_OK : error->code;
}

static void close_mail(void *mail)
{
    mail_close(mail);
}

static int answer(const struct service *service, struct office *office)
{
    kur_error error = {0};
    office->mail = mail_open(getenv("SMTP_URL"), office->directory, &error);
    if (office->mail == NULL)
        return service_end(service, error.code, &error);
    int status = service_answer(service, on_order, office);
    mail_close(office->mail);
    return status;
}

int main(int argc, char **argv)
{
    int concurrency;
    const char *directory = "mail", *charset = "utf-8", *text = "1";
    const struct service_flag flags[] = {
        {"mail-dir", "DIRECTORY", "where letters go unless SMTP_URL is set (default: mail)", &directory},
        {"charset", "NAME", "of letters: utf-8, or us-ascii, which not every name fits (default: utf-8)", &charset},
        {"concurrency", "N", "letters written at once (default: 1)", &text},
        {0}};
    struct service service = {.name = "email", .purpose = "Writes a letter for each order.", .flags = flags};
    if (!service_begin(&service, argc, argv))
        return service.status;
    if (!service_number(&service, "concurrency", text, 1, CONCURRENCY_MAX, &concurrency) ||
        !service_choice(&service, "charset", charset, (const char *[]){"utf-8", "us-ascii", NULL}))
        return 2;
    struct office office = {.service = &service, .directory = directory, .charset = charset};
    if (service.http != NULL)
        return answer(&service, &office);

    kur_error error = {0};
    kur_client *client = service_client(&service, &error);
    /* After a second, a minute, an hour, then once a day, as mail servers do. Which letter is first does not matter. */
    kur_retry_policy later = KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .attempts = 8, .delay_ms = 1000,
                                              .multiplier = 70, .delay_max_ms = 24 * 3600 * 1000, .jitter = 0.1);
    kur_listener *listener =
        kur_listener_new(client,
                         &KUR_LISTENER_OPTIONS(.group = service.group, .topics = (const char *[]){"orders", NULL},
                                               .concurrency = concurrency, .worker_start = open_mail,
                                               .worker_stop = close_mail, .retry = &later, .user = &office),
                         &error);
    order_created_on(listener, on_order, &office);
    struct watch *watch = watch_begin(&service, listener);
    kur_status status = kur_listener_run(listener, &error); /* until SIGTERM */

    watch_end(watch);
    kur_listener_free(listener);
    kur_client_unref(client);
    return service_end(&service, status, &error);
}
