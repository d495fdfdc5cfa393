"""What all parts of a scene file share."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import GenerateJsonSchema, SkipJsonSchema

from tau_stage.scene.fields import Text
from tau_stage.text import docstring

IGNORED: dict[str, Any] = {"patternProperties": {"^x-": {"description": "Ignored: yours to use."}}}


class Documented(GenerateJsonSchema):
    """With what classes say of themselves, also where Python has not kept it."""

    def model_schema(self, schema: Any) -> dict[str, Any]:
        """Make the schema of a model, with its docstring as description."""
        return super().model_schema(_documented(schema))

    def dataclass_schema(self, schema: Any) -> dict[str, Any]:
        """Make the schema of a dataclass, with its docstring as description."""
        told = super().dataclass_schema(_documented(schema))
        return {"additionalProperties": False, "description": schema["cls"].__doc__, **told}


def _documented(schema: Any) -> Any:
    described = schema["cls"]
    described.__doc__ = docstring(described)
    return schema


class Untitled(Documented):
    """Without the titles that only repeat the keys, and the nulls nobody writes."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        """Give no field a title."""
        return False

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        """Leave null out of the schema."""
        return self.generate_inner(schema["schema"])


class Part(BaseModel):
    """One mapping of a scene file. Fields that YAML cannot set are excluded from the language."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, json_schema_extra=IGNORED)

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """List the keys an author may write."""
        return tuple(field.alias or name for name, field in cls.model_fields.items() if not field.exclude)


class Placed(Part):
    """A part that knows where it stands."""

    note: Text | None = Field(None, description="For whoever reads the scene; nobody hears it.")
    path: SkipJsonSchema[tuple[str | int, ...]] = Field((), exclude=True, description="Where it stands in the scene.")
    source_line: SkipJsonSchema[int] = Field(0, exclude=True, description="Line in the scene file, from 1.")
