#include "models/tokenizer_simdjson.h"

#include <cstring>
#include <new>
#include <type_traits>

#include <simdjson.h>

namespace dom = simdjson::dom;

namespace {
constexpr size_t DEPTH_MAX = 64;

static_assert(std::is_trivially_copyable<dom::element>::value, "moved as bytes below");
static_assert(sizeof(dom::element) == sizeof(scope_dom_value), "moved as bytes below");

scope_dom_value wrap(const dom::element &element)
{
        scope_dom_value value;
        std::memcpy(static_cast<void *>(&value), &element, sizeof value);
        return value;
}

/* False for the absent value. */
bool unwrap(const scope_dom_value &value, dom::element &ret_element)
{
        if (value.document == nullptr)
                return false;
        std::memcpy(static_cast<void *>(&ret_element), &value, sizeof value);
        return true;
}
} // namespace

struct scope_dom {
        dom::parser parser;
};

static_assert(SCOPE_DOM_SPARE >= simdjson::SIMDJSON_PADDING, "what it reads beyond the end");

enum scope_err scope_dom_parse(const char *json, size_t bytes, bool spare,
        struct scope_dom **ret_dom, struct scope_dom_value *ret_root)
{
        scope_dom *made = new (std::nothrow) scope_dom;
        if (made == nullptr)
                return SCOPE_ERR_MEMORY;
        dom::element root;
        auto error = made->parser.allocate(bytes, DEPTH_MAX);
        if (!error)
                error = made->parser.parse(json, bytes, !spare).get(root);
        if (error) {
                delete made;
                return error == simdjson::MEMALLOC ? SCOPE_ERR_MEMORY : SCOPE_ERR_FORMAT;
        }
        *ret_dom = made;
        *ret_root = wrap(root);
        return SCOPE_OK;
}

void scope_dom_destroy(struct scope_dom *dom)
{
        delete dom;
}

enum scope_dom_type scope_dom_type(struct scope_dom_value value)
{
        dom::element element;
        if (!unwrap(value, element))
                return SCOPE_DOM_ABSENT;
        switch (element.type()) {
        case dom::element_type::ARRAY:
                return SCOPE_DOM_ARRAY;
        case dom::element_type::OBJECT:
                return SCOPE_DOM_OBJECT;
        case dom::element_type::INT64:
                return SCOPE_DOM_INTEGER;
        case dom::element_type::UINT64:
        case dom::element_type::DOUBLE:
                return SCOPE_DOM_NUMBER;
        case dom::element_type::STRING:
                return SCOPE_DOM_TEXT;
        case dom::element_type::BOOL:
                return SCOPE_DOM_BOOL;
        case dom::element_type::NULL_VALUE:
                return SCOPE_DOM_NULL;
        }
        return SCOPE_DOM_ABSENT;
}

struct scope_dom_value scope_dom_get(struct scope_dom_value object, const char *key)
{
        dom::element element, found;
        dom::object members;
        if (!unwrap(object, element) || element.get(members) || members.at_key(key).get(found))
                return { nullptr, 0 };
        return wrap(found);
}

struct scope_dom_text scope_dom_text(struct scope_dom_value value)
{
        dom::element element;
        std::string_view text;
        if (!unwrap(value, element) || element.get(text))
                return { nullptr, 0 };
        return { text.data(), text.size() };
}

bool scope_dom_integer(struct scope_dom_value value, int64_t *ret_integer)
{
        dom::element element;
        return unwrap(value, element) && element.is<int64_t>() && !element.get(*ret_integer);
}

bool scope_dom_is_true(struct scope_dom_value value)
{
        dom::element element;
        bool boolean = false;
        return unwrap(value, element) && !element.get(boolean) && boolean;
}

size_t scope_dom_count(struct scope_dom_value value)
{
        dom::element element;
        dom::array array;
        dom::object object;
        if (!unwrap(value, element))
                return 0;
        if (!element.get(array))
                return array.size();
        return element.get(object) ? 0 : object.size();
}

enum scope_err scope_dom_each(struct scope_dom_value value, SCOPE_DOM_EACH((*each)), void *context)
{
        dom::element element;
        dom::array array;
        dom::object object;
        enum scope_err err = SCOPE_OK;
        if (!unwrap(value, element))
                return SCOPE_OK;
        if (!element.get(array)) {
                for (auto at = array.begin(); err == SCOPE_OK && at != array.end(); ++at)
                        err = each(context, { nullptr, 0 }, wrap(*at));
        } else if (!element.get(object)) {
                for (auto at = object.begin(); err == SCOPE_OK && at != object.end(); ++at) {
                        std::string_view key = at.key();
                        err = each(context, { key.data(), key.size() }, wrap(at.value()));
                }
        }
        return err;
}
