/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Letters out of the house: by SMTP (libcurl), or as files. A struct mail for each thread that writes.
 */
#ifndef KURIER_SHOP_MAIL_H
#define KURIER_SHOP_MAIL_H

#include <kurier/kurier.h>

enum mail_result {
    MAIL_SENT,
    MAIL_NOT_NOW, /* nobody there, or a 4xx: it may go later */
    MAIL_NEVER    /* a 5xx */
};

struct mail;

/* `url` as smtp://host:25, or NULL: files in `directory`, which is made. NULL with an error. */
struct mail *mail_open(const char *url, const char *directory, kur_error *error);
void mail_close(struct mail *mail);

/* Whether an address can stand in a letter's header: user@host of plain characters. */
bool mail_is_address(const char *text);

/* Whether a text can be written in us-ascii, where that is the charset; every other one has all letters. */
bool mail_can_say(const char *charset, const char *text);

/* Sends a letter; `name` is its file's (plain characters only, or MAIL_NEVER). When it is not sent, `error` says why.
 */
enum mail_result mail_send(struct mail *mail, const char *name, const char *to, const kur_buffer *letter,
                           kur_error *error);

#endif
