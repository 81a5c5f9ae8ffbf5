select team
from (
    values ('red'), ('red'), ('blue'), ('blue'), ('blue'), ('violet'), (null), (null), (null)
) as given (team)
