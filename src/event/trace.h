/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Trace context as it travels in headers: checked, carried, never made up. (W3C Trace Context, level 1; W3C Baggage.)
 */
#ifndef KURIER_EVENT_TRACE_H
#define KURIER_EVENT_TRACE_H

#include <kurier/bytes.h>

/* 00-<32 hex>-<16 hex>-<2 hex>, lower case, ids not all zero; a higher version may go on behind that, ff is none. */
bool kur__traceparent_is_valid(kur_bytes text);

/* Printable ASCII of a size that others still carry: 512 bytes for tracestate, 8,192 for baggage. */
bool kur__tracestate_is_valid(kur_bytes text);
bool kur__baggage_is_valid(kur_bytes text);

#endif
