/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The fields that there are, and what a record has there. What a record does not tell, and an empty text of what it may
 * not tell (cause, code, message, type), is null.
 */
#include "filter/filter.h"

enum {
    OF_JSON = KUR__TEXT | KUR__NUMBER | KUR__BOOLEAN | KUR__TIME,
    OF_TEXT = KUR__TEXT | KUR__TIME
};

const struct kur__field_about kur__field_list[KUR__FIELDS] = {
    [KUR__FIELD_TOPIC] = {"topic", KUR__TEXT},
    [KUR__FIELD_PARTITION] = {"partition", KUR__NUMBER},
    [KUR__FIELD_OFFSET] = {"offset", KUR__NUMBER},
    [KUR__FIELD_KEY] = {"key", OF_TEXT},
    [KUR__FIELD_VALUE] = {"value", OF_TEXT},
    [KUR__FIELD_TYPE] = {"type", KUR__TEXT},
    [KUR__FIELD_ID] = {"id", KUR__TEXT},
    [KUR__FIELD_SOURCE] = {"source", KUR__TEXT},
    [KUR__FIELD_SUBJECT] = {"subject", KUR__TEXT},
    [KUR__FIELD_TIME] = {"time", KUR__TIME},
    [KUR__FIELD_AGE] = {"age", KUR__DURATION},
    [KUR__FIELD_CAUSE] = {"cause", KUR__TEXT},
    [KUR__FIELD_CODE] = {"code", KUR__TEXT},
    [KUR__FIELD_MESSAGE] = {"message", KUR__TEXT},
    [KUR__FIELD_ATTEMPT] = {"attempt", KUR__NUMBER},
    [KUR__FIELD_GROUP] = {"group", KUR__TEXT},
    [KUR__FIELD_REDRIVEN] = {"redriven", KUR__NUMBER},
    [KUR__FIELD_REDRIVE_ID] = {"redrive.id", KUR__TEXT},
    [KUR__FIELD_ORIGIN_TOPIC] = {"origin.topic", KUR__TEXT},
    [KUR__FIELD_ORIGIN_PARTITION] = {"origin.partition", KUR__NUMBER},
    [KUR__FIELD_ORIGIN_OFFSET] = {"origin.offset", KUR__NUMBER},
    [KUR__FIELD_HEADER] = {"header", OF_TEXT},
    [KUR__FIELD_PAYLOAD] = {"payload", OF_JSON},
};

static kur__value bytes(kur_bytes text)
{
    return (kur__value){.kind = text.data != NULL ? KUR__TEXT : KUR__NULL, .text = text};
}

static kur__value text(const char *text)
{
    return bytes(kur_bytes_text(text));
}

/* A text that is "" where nothing was told. */
static kur__value told(const char *said)
{
    return text(said != NULL && said[0] != '\0' ? said : NULL);
}

static kur__value number(int64_t number)
{
    return (kur__value){.kind = KUR__NUMBER, .number = kur__decimal_of(number)};
}

static kur__value origin(const kur_letter *letter, int64_t of_it)
{
    return letter->retry->topic != NULL ? number(of_it) : (kur__value){.kind = KUR__NULL};
}

static kur__value since(const kur_letter *letter, int64_t from_us, kur__kind kind)
{
    if (letter->failed_us < 0)
        return (kur__value){.kind = KUR__NULL};
    return (kur__value){.kind = kind, .us = kind == KUR__TIME ? letter->failed_us : from_us - letter->failed_us};
}

static kur__value header(const kur_letter *letter, const char *name)
{
    kur_bytes value;
    return bytes(kur_record_header_last(letter->record, name, &value) ? value : kur_bytes_of(NULL, 0));
}

/* Attributes of the event, when it is one. */
static kur__value attribute(const kur_event_view *event, kur__field_id id)
{
    if (event == NULL)
        return (kur__value){.kind = KUR__NULL};
    return text(id == KUR__FIELD_ID ? event->id : id == KUR__FIELD_SOURCE ? event->source : event->subject);
}

static kur__value payload(const kur_letter *letter, const kur__step *path)
{
    return kur__payload_find(letter->event != NULL ? letter->event->data : kur_record_value(letter->record), path);
}

static kur__value get(const kur__field *field, const kur_letter *letter, int64_t now_us)
{
    const kur_retry_view *retry = letter->retry;
    switch (field->id) {
    case KUR__FIELD_TOPIC:
        return text(letter->topic);
    case KUR__FIELD_PARTITION:
        return number(letter->partition);
    case KUR__FIELD_OFFSET:
        return number(letter->offset);
    case KUR__FIELD_KEY:
        return bytes(kur_record_key(letter->record));
    case KUR__FIELD_VALUE:
        return bytes(kur_record_value(letter->record));
    case KUR__FIELD_TYPE:
        return told(letter->type);
    case KUR__FIELD_ID:
    case KUR__FIELD_SOURCE:
    case KUR__FIELD_SUBJECT:
        return attribute(letter->event, field->id);
    case KUR__FIELD_TIME:
        return since(letter, 0, KUR__TIME);
    case KUR__FIELD_AGE:
        return since(letter, now_us, KUR__DURATION);
    case KUR__FIELD_CAUSE:
        return told(retry->cause);
    case KUR__FIELD_CODE:
        return told(retry->code);
    case KUR__FIELD_MESSAGE:
        return told(retry->message);
    case KUR__FIELD_ATTEMPT:
        return number(retry->attempt);
    case KUR__FIELD_GROUP:
        return text(retry->group);
    case KUR__FIELD_REDRIVEN:
        return number(retry->redriven);
    case KUR__FIELD_REDRIVE_ID:
        return told(retry->redrive_id);
    case KUR__FIELD_ORIGIN_TOPIC:
        return text(retry->topic);
    case KUR__FIELD_ORIGIN_PARTITION:
        return origin(letter, retry->partition);
    case KUR__FIELD_ORIGIN_OFFSET:
        return origin(letter, retry->offset);
    case KUR__FIELD_HEADER:
        return header(letter, field->header);
    case KUR__FIELD_PAYLOAD:
        return payload(letter, field->path);
    case KUR__FIELDS:
        break;
    }
    return (kur__value){.kind = KUR__NULL};
}

kur__value kur__field_get(const kur__field *field, const kur_letter *letter, int64_t now_us)
{
    const kur__value value = get(field, letter, now_us);
    return field->is_number ? kur__value_number(&value) : value;
}
