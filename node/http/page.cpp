#include "node/http/page.h"

namespace warren::http {

namespace {

constexpr const char* kPage = R"html(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Warren</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
       color: #222; background: #fafafa }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .7rem;
       border-bottom: 1px solid #ddd } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
#problem { color: #a00 } dl { display: flex; flex-wrap: wrap; gap: .3rem 2rem }
dt { color: #666 } dd { margin: 0; font-weight: 600 }
</style></head><body>
<h1>Warren <span id="node"></span></h1><p id="problem"></p><dl id="totals"></dl>
<h2>Queues</h2><table><thead><tr><th>Virtual host</th><th>Name</th><th>Type</th><th>State</th>
<th class="n">Ready</th><th class="n">Unacked</th><th class="n">Consumers</th></tr></thead>
<tbody id="queues"></tbody></table>
<script>
"use strict";
const at = id => document.getElementById(id);
const add = (parent, tag, text, kind) => {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return parent.appendChild(made);
};
async function get(path) {
  const answer = await fetch("api/" + path, {credentials: "same-origin"});
  if (!answer.ok) throw new Error(path + ": " + answer.status);
  return answer.json();
}
async function show() {
  try {
    const all = await get("overview");
    const page = await get("queues?page=1&page_size=100&sort=messages&sort_reverse=true"
      + "&columns=vhost,name,type,state,messages_ready,messages_unacknowledged,consumers");
    at("problem").textContent = "";
    at("node").textContent = all.product_version + " on " + all.node;
    at("totals").replaceChildren();
    for (const [name, n] of Object.entries({...all.object_totals, ...all.queue_totals})) {
      const box = add(at("totals"), "div", "");
      add(box, "dt", name.replaceAll("_", " "));
      add(box, "dd", n);
    }
    at("queues").replaceChildren();
    for (const q of page.items) {
      const row = add(at("queues"), "tr", "");
      for (const key of ["vhost", "name", "type", "state"]) add(row, "td", q[key]);
      for (const key of ["messages_ready", "messages_unacknowledged", "consumers"])
        add(row, "td", q[key], "n");
    }
  } catch (problem) {
    at("problem").textContent = String(problem);
  }
  setTimeout(show, 5000);
}
show();
</script></body></html>
)html";

}  // namespace

Response page_response() {
  Response response;
  response.content_type = "text/html; charset=utf-8";
  response.headers.emplace_back("content-security-policy",
                                "default-src 'none'; style-src 'unsafe-inline'; "
                                "script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'");
  response.body = kPage;
  return response;
}

}  // namespace warren::http
