/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A schema registry of a test's own: HTTP on 127.0.0.1, which answers what it was told, well or in one of the ways in
 * which servers fail, and counts what it was asked.
 */
#ifndef KURIER_TESTS_FAKE_REGISTRY_H
#define KURIER_TESTS_FAKE_REGISTRY_H

#include <stddef.h>

/* How an answer comes. */
enum fake_way {
    FAKE_GOOD = 0,
    FAKE_TRUNCATED, /* half of its body, and the connection ends */
    FAKE_CLOSES,    /* the connection ends before a byte has come */
    FAKE_SILENT,    /* never */
    FAKE_HELD,      /* once fake_release was called */
    FAKE_ENDLESS,   /* its body, again and again */
    FAKE_ECHO       /* the request's head stands in the error's message */
};

struct fake;

struct fake *fake_start(void);
void fake_stop(struct fake *fake);

/* "http://127.0.0.1:port" */
const char *fake_url(const struct fake *fake);

/*
 * What is answered to "GET /path"; told more than once, one after the other, and the last for good. `headers`, each
 * with its line end, may be NULL. What nothing was told for gets a plain 404. All are borrowed.
 */
void fake_tell(struct fake *fake, const char *request, enum fake_way way, int code, const char *headers,
               const char *body);
#define fake_answer(fake, request, code, body) fake_tell(fake, request, FAKE_GOOD, code, NULL, body)

void fake_release(struct fake *fake);

/* How often that was asked; NULL: anything. */
int fake_count(struct fake *fake, const char *request);
/* Waits until it has been asked so often, at most 30 s. */
void fake_await(struct fake *fake, const char *request, int count);

/* The last request, head and body, up to 4,095 bytes. */
void fake_last(struct fake *fake, char text[4096]);

#endif
