#pragma once
// The page at "/": overview and queues, fetched from the API by the browser. No outside resources.

#include "node/http/message.h"

namespace warren::http {

Response page_response();

}  // namespace warren::http
