// The console's one script entry: small modules, each of which only listens on the document, so
// that content swapped in by htmx needs no setting up.
import "./overlays.js";
import "./notices.js";
import "./reauth.js";
import "./palette.js";
import "./keys.js";
import "./forms.js";
import "./search.js";
import "./picks.js";
import "./many.js";
import "./tree.js";
import "./trace.js";
import "./graph.js";
import "./time.js";
import "./regions.js";
import "./live.js";
