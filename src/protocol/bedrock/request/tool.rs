//! Tools, and which of them is to be called.

use crate::protocol::hub::item::Item;
use crate::protocol::hub::request::{Request, Tool, ToolChoice};
use crate::protocol::hub::write::{Raw, Write};
use crate::protocol::messages::request::of_object;

use super::block;

pub(super) fn encode(request: &Request<'_>, out: &mut Vec<u8>) {
    // Not to call any can't be said: then there are none, unless the conversation holds calls, which must have tools.
    let has_called = request.items.iter().any(|item| matches!(item, Item::Call(_)));
    let is_none = request.tool_choice == Some(ToolChoice::None);
    if request.tools.is_empty() || is_none && !has_called {
        return;
    }
    out.key("toolConfig").object(|out| {
        out.key("tools").array(|out| request.tools.iter().for_each(|tool| encode_one(tool, out)));
        let choice = match &request.tool_choice {
            None | Some(ToolChoice::None) => return,
            Some(choice) => choice,
        };
        out.key("toolChoice").object(|out| {
            match choice {
                ToolChoice::Tool(name) => out.key("tool").object(|out| {
                    out.member("name", name);
                }),
                ToolChoice::Required | ToolChoice::Allowed { is_required: true, .. } => out.key("any").object(|_| {}),
                _ => out.key("auto").object(|_| {}),
            };
        });
    });
}

fn encode_one(tool: &Tool<'_>, out: &mut Vec<u8>) {
    out.object(|out| {
        out.key("toolSpec").object(|out| {
            out.member("name", &tool.name).maybe("description", tool.description.as_ref());
            out.key("inputSchema").object(|out| {
                out.member("json", Raw(&of_object(tool.parameters.as_ref())));
            });
            out.maybe("strict", tool.strict.filter(|strict| *strict));
        });
    });
    block::encode_mark(tool.cache, out);
}
